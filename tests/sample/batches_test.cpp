#include <boost/test/unit_test.hpp>
#include <septum/image/types.hpp>
#include <septum/sample/batches.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace sp = septum;

namespace {

// Every value of every image is different, so a misplaced copy cannot pass.
sp::image numbered(int rows, int columns, int channels, float first) {
  sp::image pixels = xt::xtensor<float, 3>::from_shape({static_cast<std::size_t>(rows),
                                                        static_cast<std::size_t>(columns),
                                                        static_cast<std::size_t>(channels)});
  for (auto& value : pixels) value = first++;
  return pixels;
}

struct fixture {
  int channels;
  std::vector<sp::image> images;
  std::vector<sp::patch_index> patches;

  explicit fixture(int depth, int window = 5)
      : channels{depth}, images{numbered(20, 17, depth, 0), numbered(11, 23, depth, 1e5F)} {
    int const reach = window / 2;
    for (int i = 0; i < 2; ++i)
      for (int row = reach;
           row < static_cast<int>(images[static_cast<std::size_t>(i)].shape()[0]) - reach; ++row)
        for (int column = reach;
             column < static_cast<int>(images[static_cast<std::size_t>(i)].shape()[1]) - reach;
             ++column)
          patches.push_back({i, row, column, static_cast<std::uint8_t>((row * 7 + column) % 3)});
  }
  [[nodiscard]] std::vector<sp::view<float const, 3>> views() const {
    std::vector<sp::view<float const, 3>> all;
    for (auto const& pixels : images) all.emplace_back(sp::as_view(pixels));
    return all;
  }
};

struct drained {
  std::vector<float> values;
  std::vector<std::uint8_t> labels;
  std::vector<std::ptrdiff_t> sizes;
  bool operator==(drained const&) const = default;
};

drained drain(sp::patch_batches& batches, int epoch, std::ptrdiff_t first_batch = 0) {
  drained all;
  for (auto const& batch : batches.epoch(epoch, first_batch)) {
    BOOST_TEST_REQUIRE(batch.index == first_batch + std::ssize(all.sizes));
    all.sizes.push_back(batch.patches.extent(0));
    all.values.insert(all.values.end(), batch.patches.data(),
                      batch.patches.data() + batch.patches.size());
    all.labels.insert(all.labels.end(), batch.labels.begin(), batch.labels.end());
  }
  return all;
}

// Quarter turns by repeated rotation of one step, reflection by swapping columns: the definition,
// without index arithmetic shared with the library.
std::vector<float> naive_patch(sp::image const& pixels, sp::patch_index const& at, int side,
                               int element) {
  auto const depth = pixels.shape()[2];
  xt::xtensor<float, 3> patch = xt::xtensor<float, 3>::from_shape(
      {static_cast<std::size_t>(side), static_cast<std::size_t>(side), depth});
  for (int r = 0; r < side; ++r)
    for (int c = 0; c < side; ++c)
      for (std::size_t k = 0; k < depth; ++k)
        patch(r, c, k) = pixels(at.row - side / 2 + r, at.column - side / 2 + c, k);
  auto const rearrange = [&](auto source_of) {
    auto const before = patch;
    for (int r = 0; r < side; ++r)
      for (int c = 0; c < side; ++c) {
        auto const [from_r, from_c] = source_of(r, c);
        for (std::size_t k = 0; k < depth; ++k) patch(r, c, k) = before(from_r, from_c, k);
      }
  };
  if (element >= 4) rearrange([&](int r, int c) { return std::pair{r, side - 1 - c}; });
  for (int turn = 0; turn < element % 4; ++turn)
    rearrange([&](int r, int c) { return std::pair{c, side - 1 - r}; });
  return {patch.begin(), patch.end()};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batches)

BOOST_AUTO_TEST_CASE(batches_equal_a_naive_gather) {
  for (int const channels : {1, 2, 3}) {
    fixture const data{channels};
    sp::patch_batches batches{
        data.views(), data.patches, {.window = 5, .batch_size = 16, .seed = 11}};
    int const epoch = 4;
    auto const all = drain(batches, epoch);
    auto const order = batches.order(epoch);
    auto const turns = sp::counter_rng{11, sp::stream::augmentation}.fork(4);
    std::vector<float> expected;
    std::vector<std::uint8_t> expected_labels;
    std::set<int> elements;
    for (auto const number : order) {
      auto const& patch = data.patches[number];
      auto const element = sp::draw_dihedral(turns, number).element;
      elements.insert(element);
      auto const values =
          naive_patch(data.images[static_cast<std::size_t>(patch.image)], patch, 5, element);
      expected.insert(expected.end(), values.begin(), values.end());
      expected_labels.push_back(patch.label);
    }
    BOOST_TEST(elements.size() == 8U);
    BOOST_TEST((all.values == expected));
    BOOST_TEST((all.labels == expected_labels));
  }
}

BOOST_AUTO_TEST_CASE(without_shuffle_and_augmentation_patches_come_as_listed) {
  fixture const data{1};
  sp::patch_batches batches{data.views(),
                            data.patches,
                            {.window = 5, .batch_size = 7, .shuffle = false, .augment = false}};
  auto const all = drain(batches, 9);
  for (std::size_t k = 0; k < data.patches.size(); ++k) {
    auto const& patch = data.patches[k];
    auto const centre =
        data.images[static_cast<std::size_t>(patch.image)](patch.row, patch.column, 0);
    BOOST_TEST_REQUIRE(all.values[k * 25 + 12] == centre);
    BOOST_TEST_REQUIRE(all.labels[k] == patch.label);
  }
}

BOOST_AUTO_TEST_CASE(strided_images_are_gathered) {
  // A one-channel view of the second channel of a three-channel image: pixels are 3 values apart.
  fixture const data{3};
  std::vector<sp::image> second;
  std::vector<sp::view<float const, 3>> strided;
  for (auto const& pixels : data.images) {
    auto const whole = sp::as_view(pixels);
    strided.push_back(whole.block({0, 0, 1}, {whole.extent(0), whole.extent(1), 1}));
    sp::image channel =
        xt::xtensor<float, 3>::from_shape({pixels.shape()[0], pixels.shape()[1], 1});
    for (std::size_t r = 0; r < pixels.shape()[0]; ++r)
      for (std::size_t c = 0; c < pixels.shape()[1]; ++c) channel(r, c, 0) = pixels(r, c, 1);
    second.push_back(channel);
  }
  sp::batch_options const options{.window = 5, .batch_size = 32, .seed = 2};
  sp::patch_batches from_strided{strided, data.patches, options};
  sp::patch_batches from_copies{
      {sp::as_view(std::as_const(second[0])), sp::as_view(std::as_const(second[1]))},
      data.patches,
      options};
  BOOST_TEST((drain(from_strided, 0) == drain(from_copies, 0)));
}

BOOST_AUTO_TEST_CASE(the_last_partial_batch_is_kept) {
  fixture data{1};
  data.patches.resize(50);
  sp::patch_batches batches{data.views(), data.patches, {.window = 5, .batch_size = 16}};
  BOOST_TEST(batches.batches_per_epoch() == 4);
  BOOST_TEST(drain(batches, 0).sizes == (std::vector<std::ptrdiff_t>{16, 16, 16, 2}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_empty_list_gives_no_batch) {
  fixture const data{1};
  sp::patch_batches batches{data.views(), {}, {.window = 5}};
  BOOST_TEST(batches.batches_per_epoch() == 0);
  BOOST_TEST(drain(batches, 0).sizes.empty());
}

BOOST_AUTO_TEST_CASE(every_epoch_is_another_permutation) {
  fixture const data{1};
  sp::patch_batches const batches{data.views(), data.patches, {.window = 5, .seed = 5}};
  std::set<std::vector<std::uint32_t>> orders;
  for (int epoch = 0; epoch < 5; ++epoch) {
    auto order = batches.order(epoch);
    orders.insert(order);
    std::ranges::sort(order);
    for (std::size_t k = 0; k < order.size(); ++k) BOOST_TEST_REQUIRE(order[k] == k);
  }
  BOOST_TEST(orders.size() == 5U);
}

BOOST_AUTO_TEST_CASE(a_budget_is_cut_from_a_row_of_passes) {
  fixture data{1};
  data.patches.resize(50);
  sp::batch_options options{.window = 5, .batch_size = 16, .seed = 5};
  sp::patch_batches const passes{data.views(), data.patches, options};
  for (std::ptrdiff_t const length : {20, 30, 120}) {
    options.patches_per_epoch = length;
    sp::patch_batches batches{data.views(), data.patches, options};
    std::vector<std::uint32_t> pieces;
    for (int epoch = 0; epoch < 10; ++epoch) {
      auto const order = batches.order(epoch);
      BOOST_TEST_REQUIRE(std::ssize(order) == length);
      pieces.insert(pieces.end(), order.begin(), order.end());
    }
    std::vector<std::uint32_t> row;
    for (int pass = 0; row.size() < pieces.size(); ++pass) {
      auto const order = passes.order(pass);
      row.insert(row.end(), order.begin(), order.end());
    }
    row.resize(pieces.size());
    BOOST_TEST(pieces == row, boost::test_tools::per_element());
    BOOST_TEST(std::ssize(drain(batches, 1).labels) == length);
  }
}

BOOST_AUTO_TEST_CASE(a_last_batch_too_small_for_batch_statistics_is_left_out) {
  fixture const data{1};
  auto const sizes = [&](std::size_t patches, int smallest) {
    auto some = data.patches;
    some.resize(patches);
    sp::patch_batches batches{
        data.views(), some, {.window = 5, .batch_size = 16, .smallest_batch = smallest}};
    auto const drawn = drain(batches, 0).sizes;
    BOOST_TEST(batches.batches_per_epoch() == std::ssize(drawn));
    return drawn;
  };
  using expected = std::vector<std::ptrdiff_t>;
  BOOST_TEST(sizes(33, 1) == (expected{16, 16, 1}), boost::test_tools::per_element());
  BOOST_TEST(sizes(33, 2) == (expected{16, 16}), boost::test_tools::per_element());
  BOOST_TEST(sizes(34, 2) == (expected{16, 16, 2}), boost::test_tools::per_element());
  BOOST_TEST(sizes(32, 2) == (expected{16, 16}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(threads_and_resuming_change_no_byte) {
  fixture const data{2};
  sp::batch_options const options{.window = 5, .batch_size = 33, .seed = 8};
  sp::patch_batches one{data.views(), data.patches, options};
  auto const reference = drain(one, 3);
  for (int const count : {2, 3, 8}) {
    sp::patch_batches several{data.views(), data.patches, options, sp::exec::threads{count}};
    BOOST_TEST((drain(several, 3) == reference));
  }
  sp::patch_batches resumed{data.views(), data.patches, options};
  auto const tail = drain(resumed, 3, 2);
  BOOST_TEST(std::equal(tail.values.rbegin(), tail.values.rend(), reference.values.rbegin()));
  BOOST_TEST(tail.labels.size() == reference.labels.size() - 66);
  auto other = options;
  other.seed = 9;
  sp::patch_batches reseeded{data.views(), data.patches, other};
  BOOST_TEST((drain(reseeded, 3) != reference));
}

BOOST_AUTO_TEST_CASE(symmetries_do_not_depend_on_the_batch_size) {
  fixture const data{1};
  sp::patch_batches small{data.views(), data.patches, {.window = 5, .batch_size = 3}};
  sp::patch_batches large{data.views(), data.patches, {.window = 5, .batch_size = 100}};
  BOOST_TEST((drain(small, 1).values == drain(large, 1).values));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_gathered_is_refused) {
  fixture const data{1};
  auto const id_of = [&](auto const& views, std::vector<sp::patch_index> patches,
                         sp::batch_options options) -> std::string {
    try {
      sp::patch_batches const batches{views, std::move(patches), options};
    } catch (sp::error const& e) {
      return e.id();
    }
    return "";
  };
  auto const views = data.views();
  BOOST_TEST(id_of(views, {{0, 2, 2, 0}}, {.window = 5}) == "");
  BOOST_TEST(id_of(views, {{0, 1, 2, 0}}, {.window = 5}) == "septum.sample.12");
  BOOST_TEST(id_of(views, {{0, 2, 15, 0}}, {.window = 5}) == "septum.sample.12");
  BOOST_TEST(id_of(views, {{2, 5, 5, 0}}, {.window = 5}) == "septum.sample.12");
  BOOST_TEST(id_of(views, {{-1, 5, 5, 0}}, {.window = 5}) == "septum.sample.12");
  BOOST_TEST(id_of(views, {}, {.window = 4}) == "septum.sample.1");
  BOOST_TEST(id_of(views, {}, {.window = 5, .batch_size = 0}) == "septum.sample.13");
  BOOST_TEST(id_of(views, {}, {.window = 5, .patches_per_epoch = -1}) == "septum.sample.19");
  fixture const two_channels{2};
  std::vector<sp::view<float const, 3>> const mixed{views[0], two_channels.views()[0]};
  BOOST_TEST(id_of(mixed, {}, {.window = 5}) == "septum.sample.11");
}

BOOST_AUTO_TEST_SUITE_END()
