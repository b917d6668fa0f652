#include <boost/test/unit_test.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/device_regions.hpp>
#include <vector>

#include "../support/device_layer_run.hpp"
#include "../support/host_gpu.hpp"

namespace {

septum::mask random_mask(std::size_t rows, std::size_t columns, double density,
                         std::uint64_t seed) {
  septum::mask mask = septum::mask::from_shape({rows, columns});
  septum::counter_rng const random{seed, 3};
  for (std::size_t i = 0; i < mask.size(); ++i) mask.data()[i] = random.uniform(i) < density;
  return mask;
}

// A line that winds through the whole image: trees become as deep as they can.
septum::mask snake(std::size_t rows, std::size_t columns) {
  septum::mask mask = xt::zeros<std::uint8_t>({rows, columns});
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t column = 0; column < columns; ++column)
      mask(row, column) = row % 2 == 0 || column == (row % 4 == 1 ? columns - 1 : 0) ? 1 : 0;
  return mask;
}

std::vector<std::int32_t> on_device(host_gpu const& gpu, septum::mask const& mask, bool diagonals,
                                    std::int32_t& count) {
  auto const libraries = gpu.libraries();
  septum::cuda_stream const stream{*libraries.cuda};
  septum::kernel_library kernels{*libraries.cuda, libraries.kernels};
  auto const rows = static_cast<std::ptrdiff_t>(mask.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(mask.shape()[1]);
  auto const pixels =
      upload(stream, std::vector<std::uint8_t>(mask.data(), mask.data() + mask.size()));
  septum::device_memory<std::int32_t> const labels{*libraries.cuda, mask.size()};
  septum::device_components components{stream, kernels, rows, columns};
  components.label({pixels.data(), {rows, columns}}, {labels.data(), {rows, columns}}, diagonals);
  copy(stream, components.count(), septum::view<std::int32_t, 1>{&count, {1}});
  return download(stream, labels);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(device_regions)

BOOST_AUTO_TEST_CASE(components_are_those_of_the_host_in_any_order_of_work) {
  std::vector<septum::mask> masks{snake(21, 17), random_mask(1, 1, 1.0, 1),
                                  random_mask(1, 40, 0.5, 2), random_mask(30, 1, 0.5, 3)};
  for (double const density : {0.0, 0.2, 0.5, 0.6, 0.9, 1.0})
    masks.push_back(random_mask(33, 47, density, 4));
  for (auto const& mask : masks)
    for (auto const way : {septum::connectivity::four, septum::connectivity::eight}) {
      auto const expected = septum::connected_components(mask, way);
      for (std::uint32_t seed = 0; seed < 4; ++seed) {
        host_gpu const gpu{seed == 0 ? host_device::order::eager : host_device::order::late, seed};
        std::int32_t count = -1;
        auto const found = on_device(gpu, mask, way == septum::connectivity::eight, count);
        BOOST_TEST(std::equal(found.begin(), found.end(), expected.begin()));
        BOOST_TEST(count == septum::largest_label(expected));
        BOOST_TEST(gpu.clean());
      }
    }
}

BOOST_AUTO_TEST_CASE(components_are_joined_by_many_threads_at_once) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    auto const mask = seed == 0 ? snake(64, 64) : random_mask(64, 64, 0.6, seed);
    std::vector<std::int32_t> parents(mask.size());
    septum::view<std::uint8_t const, 2, septum::device_space> const pixels{mask.data(), {64, 64}};
    septum::view<std::int32_t, 2, septum::device_space> const parent{parents.data(), {64, 64}};
    septum::exec::threads const threads{4};
    for_each_index(threads, {64, 64}, septum::plant_components<>{pixels, parent});
    for_each_index(threads, {64, 64}, septum::join_components<>{parent, false});
    auto const expected = septum::connected_components(mask, septum::connectivity::four);
    std::vector<std::int32_t> root_of_label(mask.size() + 1, -1);
    bool equal = true;
    for (std::size_t i = 0; i < mask.size(); ++i) {
      if (mask.data()[i] == 0) continue;
      auto const root =
          septum::join_components<>::root_of(parents.data(), static_cast<std::int32_t>(i));
      auto& known = root_of_label[static_cast<std::size_t>(expected.data()[i])];
      if (known < 0) known = static_cast<std::int32_t>(i);  // the first pixel in raster order
      equal = equal && root == known;
    }
    BOOST_TEST(equal);
  }
}

BOOST_AUTO_TEST_CASE(sums_of_regions_are_exact_in_any_order) {
  septum::counter_rng const random{8, 8};
  std::vector<std::int32_t> labels(40 * 30);
  std::vector<float> values(labels.size());
  std::vector<std::int64_t> expected(6 * 4, 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    labels[i] = static_cast<std::int32_t>(random.below(i, 6));
    values[i] = 0.25F * static_cast<float>(random.below(10000 + i, 1000));
    if (labels[i] == 0) continue;
    auto* const sums = expected.data() + 4 * labels[i];
    sums[0] += 1;
    sums[1] += static_cast<std::int64_t>(i / 30);
    sums[2] += static_cast<std::int64_t>(i % 30);
    sums[3] += static_cast<std::int64_t>(values[i] * 4.0F);
  }
  auto const check = [&](auto executor) {
    std::vector<std::int64_t> sums(expected.size(), 0);
    for_each_index(
        executor, {40, 30},
        septum::sum_regions<>{
            {labels.data(), {40, 30}}, {values.data(), {40, 30}}, {sums.data(), {6, 4}}, 4.0});
    BOOST_TEST(sums == expected, boost::test_tools::per_element());
  };
  check(septum::exec::serial{});
  check(septum::exec::shuffled{5});
  check(septum::exec::threads{4});
}

BOOST_AUTO_TEST_SUITE_END()
