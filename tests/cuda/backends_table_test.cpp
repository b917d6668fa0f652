#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <septum/backend/cudnn.hpp>
#include <septum/backend/eigen.hpp>
#include <septum/backend/reference.hpp>
#include <septum/nn/layers.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>
#if defined(SEPTUM_TEST_ONEDNN)
#  include <septum/backend/onednn.hpp>
#endif

/// The table of docs/backends.md: which backend serves which layer in which numbers, as the traits
/// resolve it. With SEPTUM_UPDATE_DOCS=1 the page is rewritten, otherwise it has to be what it
/// would become.
namespace {

namespace sp = septum;
namespace kind = septum::kind;

// "yes", "forward", "by X", or "-" for one layer, backend and stored type. On a device a kernel
// that trains has `saved` as well.
template <class B, class Kind, class T>
std::string cell() {
  using resolved = sp::resolved_backend_t<B, Kind, T>;
  if constexpr (std::is_void_v<resolved>)
    return "-";
  else if constexpr (!std::is_same_v<resolved, B>)
    return "by `" + std::string{resolved::name} + "`";
  else if constexpr (sp::Trains<resolved, Kind, T>)
    return "yes";
  else
    return "forward";
}

template <class B, class T>
std::vector<std::string> column() {
  return {cell<B, kind::conv, T>(),       cell<B, kind::max_pool, T>(),
          cell<B, kind::batch_norm, T>(), cell<B, kind::pointwise<sp::rectify>, T>(),
          cell<B, kind::dropout, T>(),    cell<B, kind::softmax, T>(),
          cell<B, kind::tap<0, 1>, T>(),  cell<B, kind::gather<0>, T>()};
}

// The same where a net of the host holds its maps in bfloat16.
template <class B, class Kind>
std::string bfloat16_cell() {
  using resolved = sp::bfloat16_backend_t<B, Kind>;
  return std::is_void_v<resolved> ? "in f32" : "yes";
}
template <class B>
std::vector<std::string> bfloat16_column() {
  return {bfloat16_cell<B, kind::conv>(),       bfloat16_cell<B, kind::max_pool>(),
          bfloat16_cell<B, kind::batch_norm>(), bfloat16_cell<B, kind::pointwise<sp::rectify>>(),
          bfloat16_cell<B, kind::dropout>(),    bfloat16_cell<B, kind::softmax>(),
          bfloat16_cell<B, kind::tap<0, 1>>(),  bfloat16_cell<B, kind::gather<0>>()};
}

// Backends that a build may lack keep their column.
#if defined(SEPTUM_TEST_ONEDNN)
std::string table() {
  std::vector<std::string> const layers{"conv, dense", "max_pool", "batch_norm", "pointwise (relu)",
                                        "dropout",     "softmax",  "tap",        "gather"};
  struct described {
    std::string name;
    std::vector<std::string> cells;
  };
  std::vector<described> const columns{{"`reference` f32, f64", column<sp::reference, float>()},
                                       {"`eigen` f32, f64", column<sp::eigen, float>()},
                                       {"`onednn` f32", column<sp::onednn, float>()},
                                       {"`onednn` f64", column<sp::onednn, double>()},
                                       {"`eigen`, `onednn` bf16", bfloat16_column<sp::eigen>()},
                                       {"`cuda` f32", column<sp::cuda, float>()},
                                       {"`cuda` bf16, f16", column<sp::cuda, sp::bfloat16>()},
                                       {"`cudnn` f32, tf32", column<sp::cudnn, float>()},
                                       {"`cudnn` bf16, f16", column<sp::cudnn, sp::bfloat16>()}};
  static_assert(std::is_same_v<sp::resolved_backend_t<sp::cudnn, kind::conv, sp::float16>,
                               sp::resolved_backend_t<sp::cudnn, kind::conv, sp::bfloat16>>);
  BOOST_TEST((column<sp::reference, double>() == columns[0].cells));
  BOOST_TEST((column<sp::eigen, double>() == columns[1].cells));
  BOOST_TEST((column<sp::cuda, sp::float16>() == columns[6].cells));
  BOOST_TEST((column<sp::cudnn, sp::float16>() == columns[8].cells));
  BOOST_TEST((bfloat16_column<sp::onednn>() == columns[4].cells));
  std::string text = "| layer |";
  for (auto const& each : columns) text += " " + each.name + " |";
  text += "\n|---|";
  for (std::size_t k = 0; k < columns.size(); ++k) text += "---|";
  text += "\n";
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    text += "| " + layers[layer] + " |";
    for (auto const& each : columns) text += " " + each.cells[layer] + " |";
    text += "\n";
  }
  return text;
}

std::string page_path() {
  std::string path{__FILE__};
  return path.substr(0, path.rfind("tests/cuda/")) + "docs/backends.md";
}
#endif

}  // namespace

BOOST_AUTO_TEST_SUITE(backends_page)

BOOST_AUTO_TEST_CASE(the_table_is_what_the_traits_resolve) {
#if defined(SEPTUM_TEST_ONEDNN)
  constexpr std::string_view begin =
      "<!-- table: written by tests/cuda/backends_table_test.cpp with SEPTUM_UPDATE_DOCS=1 -->\n";
  constexpr std::string_view end = "<!-- end of table -->\n";
  std::ifstream file{page_path()};
  std::string page{std::istreambuf_iterator<char>{file}, {}};
  auto const first = page.find(begin);
  auto const last = page.find(end);
  BOOST_TEST_REQUIRE(first != std::string::npos);
  BOOST_TEST_REQUIRE(last != std::string::npos);
  auto const from = first + begin.size();
  auto const fresh = page.substr(0, from) + table() + page.substr(last);
  if (char const* const update = std::getenv("SEPTUM_UPDATE_DOCS");
      update != nullptr && std::string_view{update} == "1") {
    std::ofstream{page_path()} << fresh;
    page = fresh;
  }
  BOOST_TEST((page == fresh),
             "docs/backends.md is out of date; run this test with "
             "SEPTUM_UPDATE_DOCS=1");
#else
  BOOST_TEST_MESSAGE("skipped: built without oneDNN");
#endif
}

BOOST_AUTO_TEST_SUITE_END()
