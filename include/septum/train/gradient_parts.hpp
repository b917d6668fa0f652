#pragma once
#include <septum/core/config.hpp>
#include <septum/core/rng.hpp>
#include <septum/core/view.hpp>
#include <septum/net/parameters.hpp>
#include <septum/train/loss.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// How the batch of a step is dealt out: in `count` parts, each with batch statistics of its own,
/// of which this process computes [first, last). Their gradients are summed in the order of parts,
/// so the result depends on the number of parts and not on how many processes share them.
struct gradient_parts {
  int count = 1;
  int first = 0;
  int last = 1;
  /// Fills in what other processes computed: one block of values per part. Empty where this process
  /// computes all.
  std::function<void(std::span<float> gradients, std::span<double> sums)> exchange{};
};

/// Gradients of batches in parts.
class parted_gradient {
 public:
  explicit parted_gradient(gradient_parts parts) : parts_{std::move(parts)} {}

  [[nodiscard]] bool whole() const { return parts_.count <= 1; }

  /// As gradient_network; `gradient_of` is called for the parts of this process.
  template <class GradientOf>
  loss_sums operator()(GradientOf& gradient_of, std::span<parameter_slice const> slices,
                       std::span<float const> parameters, view<float const, 4> x,
                       output_targets const& targets, cross_entropy const& loss,
                       std::span<float> gradient, counter_rng step) {
    auto const count = static_cast<std::size_t>(parts_.count);
    gradients_.assign(count * gradient.size(), 0.0F);
    sums_.assign(count * values_per_sum, 0.0);
    std::size_t const outputs = targets.labels.size() / static_cast<std::size_t>(x.extent(0));
    for (int part = parts_.first; part < parts_.last; ++part) {
      auto const [begin, end] = range_of(part, x.extent(0));
      if (begin == end) continue;
      view<float const, 4> const own{x.data() + begin * x.stride(0),
                                     {end - begin, x.extent(1), x.extent(2), x.extent(3)}};
      auto const at = static_cast<std::size_t>(part);
      loss_sums const sums =
          gradient_of(parameters, own,
                      targets.part(static_cast<std::size_t>(begin) * outputs,
                                   static_cast<std::size_t>(end - begin) * outputs),
                      loss, std::span{gradients_}.subspan(at * gradient.size(), gradient.size()),
                      step.fork(at));
      std::array const stored{sums.loss, sums.weight, static_cast<double>(sums.correct),
                              static_cast<double>(sums.count)};
      std::copy(stored.begin(), stored.end(), sums_.begin() + static_cast<std::ptrdiff_t>(at * 4));
    }
    if (parts_.exchange) parts_.exchange(gradients_, sums_);
    return combine(slices, x.extent(0), gradient);
  }

 private:
  static constexpr std::size_t values_per_sum = 4;

  [[nodiscard]] std::pair<std::ptrdiff_t, std::ptrdiff_t> range_of(int part,
                                                                   std::ptrdiff_t batch) const {
    return {batch * part / parts_.count, batch * (part + 1) / parts_.count};
  }

  loss_sums combine(std::span<parameter_slice const> slices, std::ptrdiff_t batch,
                    std::span<float> gradient) const {
    loss_sums total;
    for (std::size_t at = 0; at < sums_.size(); at += values_per_sum)
      total += {sums_[at], sums_[at + 1], static_cast<std::int64_t>(sums_[at + 2]),
                static_cast<std::int64_t>(sums_[at + 3])};
    std::fill(gradient.begin(), gradient.end(), 0.0F);
    for (int part = 0; part < parts_.count; ++part) {
      auto const at = static_cast<std::size_t>(part);
      auto const [begin, end] = range_of(part, batch);
      double const weight =
          total.weight > 0.0 ? sums_[at * values_per_sum + 1] / total.weight : 0.0;
      // Running statistics are means over the inputs of the batch, whatever these weigh.
      double const share = static_cast<double>(end - begin) / static_cast<double>(batch);
      float const* const own = gradients_.data() + at * gradient.size();
      for (auto const& slice : slices) {
        auto const factor = static_cast<float>(slice.trainable ? weight : share);
        for (std::size_t i = slice.offset; i < slice.offset + slice.count; ++i)
          gradient[i] += factor * own[i];
      }
    }
    return total;
  }

  gradient_parts parts_;
  std::vector<float> gradients_;
  std::vector<double> sums_;
};

}  // namespace septum::inline SEPTUM_ABI
