#pragma once
#include <septum/net/model.hpp>
#include <septum/net/parameters.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/nn/variant_nets.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace septum::inline SEPTUM_ABI::io::detail {

/// A net of the paper with the numbers of channels and classes left open: what a file's tensors are
/// compared with, without instantiating the net for each of them.
struct known_net {
  std::string_view architecture;
  int receptive_field = 0;
  std::vector<std::string_view> layer_names;
  std::vector<layer_row> rows;        ///< for one channel and three classes
  std::vector<tensor_slice> tensors;  ///< likewise

  template <Stack S>
  [[nodiscard]] static known_net of() {
    using base = base_stack_t<S>;
    known_net net{S::name,
                  base::receptive_field,
                  base::template apply<names_of>::list(),
                  {},
                  tensor_layout<S>()};
    net.rows.assign(base::patch_rows.begin(), base::patch_rows.end());
    return net;
  }

  /// The tensors of the blob for these widths.
  [[nodiscard]] std::vector<tensor_slice> layout(int channels, int classes) const {
    std::vector<tensor_slice> result = tensors;
    result.front().extents.back() = channels;
    result[result.size() - 2].extents.front() = classes;
    result.back().extents.front() = classes;
    std::size_t offset = 0;
    for (tensor_slice& tensor : result) {
      tensor.offset = offset;
      tensor.count = 1;
      for (std::int64_t const extent : tensor.extents)
        tensor.count *= static_cast<std::size_t>(extent);
      offset += tensor.count;
    }
    return result;
  }

  /// The signature of the stack with these widths (nn/stack.hpp).
  [[nodiscard]] std::uint64_t signature(int channels, int classes) const {
    std::vector<layer_row> own = rows;
    own.front().in.channels = channels;
    own.front().count = count_of(own.front());
    std::size_t last = own.size() - 1;
    while (own[last].count == 0) --last;
    own[last].out.channels = classes;
    own[last].count = count_of(own[last]);
    for (std::size_t k = last + 1; k < own.size(); ++k)
      own[k].in.channels = own[k].out.channels = classes;
    return septum::detail::layers_signature(channels, layer_names, own);
  }

 private:
  template <class... Layers>
  struct names_of {
    static std::vector<std::string_view> list() { return {Layers::name...}; }
  };
  /// Parameters of a convolution or dense layer.
  static std::size_t count_of(layer_row const& row) {
    auto const side = static_cast<std::size_t>(row.geometry.kernel);
    return static_cast<std::size_t>(row.out.channels) *
           (static_cast<std::size_t>(row.in.channels) * side * side + 1);
  }
};

/// The nets whose published weights can be read.
[[nodiscard]] inline std::vector<known_net> known_nets() {
  return {known_net::of<bn_feature_net_31x31<>>(), known_net::of<bn_feature_net_61x61<>>(),
          known_net::of<feature_net_31x31<>>(), known_net::of<feature_net_61x61<>>()};
}

}  // namespace septum::inline SEPTUM_ABI::io::detail
