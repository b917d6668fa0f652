// Background that is kept from the net.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <septum/core/rng.hpp>
#include <septum/io/image.hpp>
#include <septum/io/tiff.hpp>
#include <string>

#include "program/json_result.hpp"
#include "program/program.hpp"

namespace fs = std::filesystem;
using program_test::content;
using program_test::result_of;
using program_test::sandbox;

namespace {

// Faint noise, and dark rods with bright halos in the middle.
void write_sparse(sandbox const& box, std::string const& name, std::size_t cells,
                  std::uint64_t seed) {
  constexpr std::size_t rows = 300;
  constexpr std::size_t columns = 340;
  auto stored = xt::xtensor<std::uint16_t, 2>::from_shape({rows, columns});
  septum::counter_rng const rng{seed, 1};
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) {
      double value = 20000.0 + 60.0 * rng.normal(r * columns + c);
      for (std::size_t k = 0; k < cells; ++k) {
        double const y = static_cast<double>(r) - 130.0 - 22.0 * static_cast<double>(k % 3);
        double const x = static_cast<double>(c) - 150.0 - 40.0 * static_cast<double>(k / 3);
        double const away = std::hypot(std::max(std::abs(x) - 10.0, 0.0), y);
        value += away < 5.0 ? -6000.0 : away < 8.0 ? 2500.0 : 0.0;
      }
      stored(r, c) = static_cast<std::uint16_t>(value);
    }
  septum::io::write_tiff(box.path(name), stored);
}

std::string const run =
    "segment --model bacteria --core-threshold 0 --no-overlays --threads 2 --quiet ";

}  // namespace

BOOST_AUTO_TEST_SUITE(cascade_with_the_program)

BOOST_AUTO_TEST_CASE(frames_differ_from_the_full_run_by_skipped_background_alone) {
  sandbox const box;
  fs::create_directories(box.path("movie"));
  write_sparse(box, "movie/t0.tif", 0, 1);
  write_sparse(box, "movie/t1.tif", 4, 2);
  write_sparse(box, "movie/t2.tif", 6, 3);
  for (std::string const pad : {"", "--pad reflect "}) {
    auto const full = result_of(box, run + pad + "movie --probabilities --out full");
    auto const found = result_of(box, run + pad + "movie --probabilities --cascade --out some");
    BOOST_TEST(!full.contains("cascade"));
    // Nothing can be learned from the first frame.
    BOOST_TEST(found.at("cascade").at("threshold").get<double>() > 0.0);
    double const computed = found.at("cascade").at("computed_share").get<double>();
    BOOST_TEST(computed > 2.0 / 3.0);
    BOOST_TEST(computed < 0.85);
    BOOST_TEST(found.at("cells") == full.at("cells"));
    for (std::string const name : {"t0", "t1", "t2"}) {
      auto const file = "/probabilities/" + name + ".tif";
      auto const expected = septum::io::read_image(box.path("full" + file));
      auto const maps = septum::io::read_image(box.path("some" + file));
      BOOST_TEST_REQUIRE((maps.shape() == expected.shape()));
      std::size_t skipped = 0;
      std::size_t wrong = 0;
      for (std::size_t p = 0; p < maps.size(); p += 3) {
        float const* const own = maps.data() + p;
        if (std::equal(own, own + 3, expected.data() + p)) continue;
        ++skipped;
        wrong += own[0] == 0.0F && own[1] == 0.0F && own[2] == 1.0F ? 0U : 1U;
      }
      BOOST_TEST(wrong == 0U, name);
      if (name == "t2")
        BOOST_TEST(skipped > maps.size() / 3 / 2);
      else
        BOOST_TEST(skipped == 0U);
      BOOST_TEST((content(box.path("full/labels/" + name + ".tif")) ==
                  content(box.path("some/labels/" + name + ".tif"))));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_given_threshold_serves_single_frames_and_rows) {
  sandbox const box;
  write_sparse(box, "a.tif", 5, 4);
  auto const labels = [&](std::string const& out) {
    return septum::io::read_labels(box.path(out + "/labels/a.tif"));
  };
  (void)result_of(box, run + "a.tif --out full");
  auto const nothing = result_of(box, run + "a.tif --cascade-threshold 0 --out zero");
  BOOST_TEST(nothing.at("cascade").at("computed_share").get<double>() == 1.0);
  BOOST_TEST((labels("zero") == labels("full")));
  auto const some = result_of(box, run + "a.tif --cascade-threshold 0.02 --out some");
  double const computed = some.at("cascade").at("computed_share").get<double>();
  BOOST_TEST(computed > 0.02);
  BOOST_TEST(computed < 0.5);
  auto const rows =
      result_of(box, run + "a.tif --cascade-threshold 0.02 --rows always --tile 90 --out rows");
  BOOST_TEST(rows.at("frames_by_rows") == 1);
  BOOST_TEST(rows.at("cascade").at("computed_share").get<double>() == computed);
  BOOST_TEST((labels("rows") == labels("some")));
  BOOST_TEST(rows.at("cells") == some.at("cells"));
  // So high that everything is background.
  auto const none = result_of(box, run + "a.tif --cascade-threshold 9 --out none");
  BOOST_TEST(none.at("cells") == 0);
  BOOST_TEST(none.at("cascade").at("computed_share").get<double>() == 0.0);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_is_refused) {
  sandbox const box;
  write_sparse(box, "a.tif", 3, 5);
  auto const refused = [&](std::string const& options, int code, std::string const& names) {
    auto const done = box.run(run + "a.tif --out o " + options);
    BOOST_TEST_CONTEXT(options << ": " << done.err) {
      BOOST_TEST(done.exit_code == code);
      BOOST_TEST(done.err.find(names) != std::string::npos);
      BOOST_TEST(!fs::exists(box.path("o")));
      BOOST_TEST(box.hidden_leftovers() == 0);
    }
  };
  refused("--cascade --rows always", 3, "--cascade-threshold");
  refused("--cascade-loss 0.1", 2, "--cascade");
  refused("--cascade --cascade-loss 2", 2, "--cascade-loss");
}

BOOST_AUTO_TEST_SUITE_END()
