// Which backend serves which layer, and what a context promises: threads, scratch memory, errors.
#include <septum/nn/layers.hpp>
#include <support/layer_run.hpp>
#include <support/types.hpp>

#include <boost/test/unit_test.hpp>

#include <omp.h>

#include <string>
#include <type_traits>

namespace {

struct only_in_the_oracle;  // a user's kind of layer

template <class B, class Kind, class T, class Expected>
constexpr bool resolves_to = std::is_same_v<septum::resolved_backend_t<B, Kind, T>, Expected>;

}  // namespace

template <class T>
struct septum::kernel<septum::reference, only_in_the_oracle, T> {};

namespace {

using septum::eigen;
using septum::reference;
using septum::strict;
namespace kind = septum::kind;

static_assert(resolves_to<reference, kind::conv, float, reference>);
static_assert(resolves_to<eigen, kind::conv, float, eigen>);
static_assert(resolves_to<eigen, kind::conv, double, eigen>);
static_assert(resolves_to<eigen, only_in_the_oracle, float, reference>);
static_assert(resolves_to<strict<eigen>, only_in_the_oracle, float, reference> == false);
static_assert(septum::Trains<eigen, kind::batch_norm, float>);
static_assert(!septum::Implements<eigen, only_in_the_oracle, float>);

/// All passes of one layer with 1, 2, 3 and 5 threads.
template <class Kind>
void check_bytes_for_any_thread_count(layer_case const& given) {
  auto const one = run_layer<eigen, Kind, float>(given, 1);
  for (int const threads : {2, 3, 5})
    BOOST_TEST((run_layer<eigen, Kind, float>(given, threads) == one));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(contexts)

BOOST_AUTO_TEST_CASE(own_kernels_give_the_same_bytes_for_any_thread_count) {
  for (auto const& [kernel, dilation] : {std::pair{3, 2}, {1, 1}}) {
    auto const problem = conv_problem(3, 19, 23, 5, 9, kernel, dilation, true);
    check_bytes_for_any_thread_count<kind::conv>(
        make_case(problem, conv_parameters(problem), normal_values));
  }
  septum::layer_problem pool{.batch = 3, .in = {13, 10, 21}, .geometry = {2, 2, 1}};
  pool.training = true;
  pool.out = {6, 5, 21};
  check_bytes_for_any_thread_count<kind::max_pool>(make_case(pool, 0, normal_values));
  pool.geometry = {2, 1, 2};
  pool.out = {11, 8, 21};
  check_bytes_for_any_thread_count<kind::max_pool>(make_case(pool, 0, normal_values));
  septum::layer_problem same{.batch = 5, .training = true, .dropout_rate = 0.3};
  same.in = same.out = {17, 9, 13};
  check_bytes_for_any_thread_count<kind::batch_norm>(make_case(same, 52, normal_values));
  check_bytes_for_any_thread_count<kind::softmax>(make_case(same, 0, normal_values));
  check_bytes_for_any_thread_count<kind::dropout>(make_case(same, 0, normal_values));
  check_bytes_for_any_thread_count<kind::pointwise<septum::rectify>>(
      make_case(same, 0, normal_values));
}

// Which path a processor takes is found out at run time; both have to be right everywhere.
BOOST_AUTO_TEST_CASE(eigen_with_and_without_the_direct_convolution) {
  using conv = septum::kernel<eigen, kind::conv, float>;
  for (auto const& [filters, columns] : {std::pair{3, 1}, {8, 7}, {16, 12}, {20, 23}, {43, 25}})
    for (int const kernel : {1, 4}) {
      auto problem = conv_problem(2, 5, columns, 6, filters, kernel, 2, true);
      problem.training = false;
      auto const given = make_case(problem, conv_parameters(problem), integer_values);
      auto const expected = run_layer<reference, kind::conv, float>(given).inference;
      std::vector<float> const parameters(given.parameters.begin(), given.parameters.end());
      std::vector<float> const x(given.x.begin(), given.x.end());
      for (bool const direct : {false, septum::detail::has_direct_convolution()}) {
        septum::context<eigen> context{septum::exec::threads{2}};
        auto plan = conv::prepare(context, problem);
        plan.own.available = direct;
        auto const packed = conv::pack(context, plan, std::span<float const>{parameters});
        std::vector<float> y(expected.size());
        conv::forward(context, plan, packed,
                      {x.data(), {2, problem.in.height, problem.in.width, problem.in.channels}},
                      {y.data(), {2, 5, columns, filters}});
        BOOST_TEST_CONTEXT("filters " << filters << " kernel " << kernel << " direct " << direct)
        BOOST_TEST((y == expected));
      }
    }
}

BOOST_AUTO_TEST_CASE(default_threads_sets_and_restores) {
  int const before = omp_get_max_threads();
  {
    septum::default_threads const scope{septum::exec::threads{before + 3}};
    BOOST_TEST(omp_get_max_threads() == before + 3);
  }
  BOOST_TEST(omp_get_max_threads() == before);
}

#if defined(SEPTUM_TEST_ONEDNN)

using septum::onednn;
static_assert(resolves_to<onednn, kind::conv, float, onednn>);
static_assert(resolves_to<onednn, kind::conv, double, eigen>);
static_assert(resolves_to<onednn, kind::max_pool, float, eigen>);
static_assert(resolves_to<onednn, only_in_the_oracle, float, reference>);
static_assert(resolves_to<strict<onednn>, kind::conv, float, onednn>);
static_assert(resolves_to<strict<onednn>, kind::max_pool, float, void>);

BOOST_AUTO_TEST_CASE(onednn_forward_gives_the_same_bytes_for_any_thread_count) {
  auto problem = conv_problem(1, 31, 29, 16, 40, 3, 2, true);
  problem.training = false;
  auto const given = make_case(problem, conv_parameters(problem), normal_values);
  auto const one = run_layer<onednn, kind::conv, float>(given, 1).inference;
  for (int const threads : {2, 3})
    BOOST_TEST((run_layer<onednn, kind::conv, float>(given, threads).inference == one));
}

BOOST_AUTO_TEST_CASE(scratch_memory_is_complete_after_prepare) {
  using conv = septum::kernel<onednn, kind::conv, float>;
  auto const problem = conv_problem(2, 9, 9, 20, 30, 3, 1, true);
  auto const given = make_case(problem, conv_parameters(problem), normal_values);
  std::vector<float> const parameters(given.parameters.begin(), given.parameters.end());
  std::vector<float> const x(given.x.begin(), given.x.end());
  std::vector<float> y(given.dy.size());
  septum::view<float const, 4> const in{x.data(), {2, 11, 11, 20}};
  septum::view<float, 4> const out{y.data(), {2, 9, 9, 30}};
  int const before = omp_get_max_threads();

  septum::context<onednn> first{septum::exec::threads{2}};
  auto const plan = conv::prepare(first, problem);
  auto const packed = conv::pack(first, plan, parameters);
  std::size_t const held = first.scratch.size();
  conv::forward(first, plan, packed, in, out);
  BOOST_TEST(first.scratch.size() == held);
  BOOST_TEST(omp_get_max_threads() == before);
  auto const expected = y;

  // A plan also runs with another context, which has prepared nothing.
  septum::context<onednn> second{septum::exec::threads{2}};
  std::fill(y.begin(), y.end(), 0.0F);
  conv::forward(second, plan, packed, in, out);
  BOOST_TEST((y == expected));
}

BOOST_AUTO_TEST_CASE(errors_of_the_library_become_device_errors) {
  auto const fail = [](dnnl_status_t status) {
    septum::detail::checked_onednn("do something", [&] { throw dnnl::error(status, "no luck"); });
  };
  BOOST_CHECK_EXCEPTION(fail(dnnl_out_of_memory), septum::device_error, [](auto const& failure) {
    return failure.id() == "septum.device.1" && failure.kind() == septum::fault::resource &&
           failure.message().find("do something") != std::string::npos &&
           failure.message().find("no luck") != std::string::npos;
  });
  BOOST_CHECK_EXCEPTION(fail(dnnl_unimplemented), septum::device_error, [](auto const& failure) {
    return failure.kind() == septum::fault::internal;
  });
}

#endif

BOOST_AUTO_TEST_SUITE_END()
