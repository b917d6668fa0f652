#include <boost/test/unit_test.hpp>
#include <memory>
#include <optional>
#include <septum/backend/detail/cudnn_plan.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/nn/transform.hpp>
#include <string>
#include <tuple>
#include <vector>

/// cuDNN itself, where it is installed: it makes plans for devices that are only described to it,
/// so that the graphs of every layer of the published nets are judged without a GPU.
namespace {

namespace sp = septum;
using namespace septum::detail;

// What cuDNN asks of a device, for compute capability `version` / 100.
std::string described_device(int version, int shared_memory) {
  return R"({"cudaDeviceId":0,"deviceVer":)" + std::to_string(version) +
         R"(,"driverVer":13000,"totalGlobalMem":17179869184,)"
         R"("maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],)"
         R"("regsPerBlock":65536,"multiProcessorCount":80,"warpSize":32,)"
         R"("maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":)" +
         std::to_string(shared_memory) +
         R"(,"reservedSharedMemoryPerBlock":1024,"maxRegistersPerSM":65536,"maxCtasPerSM":16,)"
         R"("maxThreadsPerBlock":1024,"maxThreadsPerSM":1024,"pciDeviceId":0,"isTccDriver":0,)"
         R"("supportCoopLaunch":1,"smClockRateKHz":1500000,"memClockRateKHz":5000000,)"
         R"("l2CacheSize":4194304,"deviceName":"described"})";
}

std::shared_ptr<cudnn_api const> installed() {
  static auto const api = []() -> std::shared_ptr<cudnn_api const> {
    try {
      return load_cudnn_api();
    } catch (sp::device_error const& missing) {
      BOOST_TEST_MESSAGE("skipped: " << missing.what());
      return nullptr;
    }
  }();
  return api;
}

// The convolutions of a net as they run over a tile of 64 x 64 outputs, and in a batch of patches.
template <sp::Stack S>
std::vector<sp::layer_problem> convolutions() {
  std::vector<sp::layer_problem> all;
  auto const add = [&](auto const& rows, int batch, bool training) {
    bool first = true;
    for (auto const& row : rows) {
      if (row.count > 0 && row.count != 4 * static_cast<std::size_t>(row.in.channels))
        all.push_back({.batch = batch,
                       .in = row.in,
                       .out = row.out,
                       .geometry = row.geometry,
                       .relu = row.out.channels != S::output.channels,
                       .training = training,
                       .input_gradient = !first,
                       .dropout_rate = 0.0});
      first = false;
    }
  };
  using dense = sp::fused_t<sp::fully_convolutional_t<S>>;
  add(dense::rows(63 + S::receptive_field, 63 + S::receptive_field), 1, false);
  add(sp::training_t<S>::patch_rows, 64, true);
  return all;
}

int data_type(sp::gpu_precision precision) {
  return precision == sp::gpu_precision::bf16  ? cudnn_constant::data_bfloat16
         : precision == sp::gpu_precision::f16 ? cudnn_constant::data_half
                                               : cudnn_constant::data_float;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cudnn_plans)

BOOST_AUTO_TEST_CASE(cudnn_has_plans_for_every_layer_on_every_architecture) {
  auto const api = installed();
  if (!api) return;
  auto problems = convolutions<sp::bn_feature_net_31x31<1, 3>>();
  for (auto const& problem : convolutions<sp::bn_feature_net_61x61<2, 4>>())
    problems.push_back(problem);
  BOOST_TEST(problems.size() > 20U);
  int plans = 0;
  for (auto const& [version, shared_memory] :
       {std::pair{750, 65536}, {800, 166912}, {860, 101376}, {890, 101376}, {900, 232448}}) {
    auto const device = describe_device(*api, described_device(version, shared_memory));
    for (auto const precision : {sp::gpu_precision::f32, sp::gpu_precision::tf32,
                                 sp::gpu_precision::bf16, sp::gpu_precision::f16}) {
      if (precision == sp::gpu_precision::bf16 && version < 800) continue;  // no such numbers there
      for (auto const& problem : problems) {
        std::vector<cudnn_pass> passes{cudnn_pass::fused};
        if (problem.training) passes.push_back(cudnn_pass::backward_filter);
        if (problem.training && problem.input_gradient) passes.push_back(cudnn_pass::backward_data);
        for (auto const pass : passes) {
          auto const graph = convolution_graph(problem, pass, data_type(precision));
          auto const plan = find_plan(*api, device, graph, precision, std::size_t{256} << 20);
          BOOST_TEST_CONTEXT(
              plan_key(graph, precision, api->get_version(), std::to_string(version))) {
            // In f32 without tensor cores it has no engine for dilated windows but plain loops.
            BOOST_TEST((plan.has_value() || (precision == sp::gpu_precision::f32 &&
                                             pass == cudnn_pass::fused && graph.dilation > 1)));
            if (plan) {
              ++plans;
              auto const again = restore_plan(*api, device, plan->json());
              BOOST_TEST(again.has_value());
              if (again) BOOST_TEST(again->workspace_bytes() == plan->workspace_bytes());
            }
          }
        }
      }
    }
  }
  BOOST_TEST_MESSAGE("cuDNN " << cudnn_version_text(api->get_version()) << " made " << plans
                              << " plans");
}

BOOST_AUTO_TEST_CASE(text_that_is_no_plan_is_not_taken) {
  auto const api = installed();
  if (!api) return;
  auto const device = describe_device(*api, described_device(900, 232448));
  for (char const* const text : {"", "{", "{}", "nonsense"})
    BOOST_TEST(!restore_plan(*api, device, text).has_value());
}

BOOST_AUTO_TEST_CASE(a_graph_that_does_not_fit_is_refused_in_the_words_of_cudnn) {
  auto const api = installed();
  if (!api) return;
  auto const device = describe_device(*api, described_device(900, 232448));
  sp::layer_problem problem{.in = {8, 8, 4}, .out = {7, 7, 4}, .geometry = {3, 1, 1}};
  auto const graph = convolution_graph(problem, cudnn_pass::forward, cudnn_constant::data_float);
  BOOST_CHECK_THROW(find_plan(*api, device, graph, sp::gpu_precision::f32, 0), sp::device_error);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(cudnn_graphs)

BOOST_AUTO_TEST_CASE(a_fused_graph_says_what_the_layer_is) {
  // By hand: 2 maps of 9 x 11 pixels and 5 channels, 3 x 3 window with dilation 2, 7 filters.
  sp::layer_problem problem{
      .batch = 2, .in = {9, 11, 5}, .out = {5, 7, 7}, .geometry = {3, 1, 2}, .relu = true};
  auto const graph = convolution_graph(problem, cudnn_pass::fused, cudnn_constant::data_float);
  using four = std::array<std::int64_t, 4>;
  BOOST_TEST((graph.tensor(cudnn_id::x).extents == four{2, 5, 9, 11}));
  BOOST_TEST((graph.tensor(cudnn_id::x).strides == four{495, 1, 55, 5}));
  BOOST_TEST((graph.tensor(cudnn_id::w).extents == four{7, 5, 3, 3}));
  BOOST_TEST((graph.tensor(cudnn_id::w).strides == four{45, 1, 15, 5}));
  BOOST_TEST((graph.tensor(cudnn_id::y).extents == four{2, 7, 5, 7}));
  BOOST_TEST((graph.tensor(cudnn_id::y).strides == four{245, 1, 49, 7}));
  BOOST_TEST((graph.tensor(cudnn_id::bias).extents == four{1, 7, 1, 1}));
  // The bias begins 7 * 45 floats behind the weights: 1260 bytes, a multiple of 4 and not of 8.
  BOOST_TEST(graph.tensor(cudnn_id::bias).alignment == 4);
  BOOST_TEST(graph.dilation == 2);
  BOOST_TEST(graph.operations.size() == 3U);
  BOOST_TEST((graph.operations[0] ==
              cudnn_operation{cudnn_step::forward, cudnn_id::x, cudnn_id::w, cudnn_id::product}));
  BOOST_TEST((graph.operations[1] ==
              cudnn_operation{cudnn_step::add, cudnn_id::product, cudnn_id::bias, cudnn_id::sum}));
  BOOST_TEST(
      (graph.operations[2] == cudnn_operation{cudnn_step::relu, cudnn_id::sum, 0, cudnn_id::y}));
  BOOST_TEST(graph.tensor(cudnn_id::product).is_virtual);
  BOOST_TEST(!graph.tensor(cudnn_id::y).is_virtual);
  problem.relu = false;
  auto const linear = convolution_graph(problem, cudnn_pass::fused, cudnn_constant::data_half);
  BOOST_TEST(linear.operations.size() == 2U);
  BOOST_TEST(linear.operations.back().y == cudnn_id::y);
  BOOST_TEST(linear.tensor(cudnn_id::product).type == cudnn_constant::data_float);
  BOOST_TEST(linear.tensor(cudnn_id::bias).alignment == 2);
}

BOOST_AUTO_TEST_CASE(alignments_are_powers_of_two_up_to_sixteen) {
  BOOST_TEST(alignment_at(0) == 16);
  BOOST_TEST(alignment_at(48) == 16);
  BOOST_TEST(alignment_at(24) == 8);
  BOOST_TEST(alignment_at(20) == 4);
  BOOST_TEST(alignment_at(6) == 2);
}

BOOST_AUTO_TEST_CASE(keys_tell_graphs_precisions_versions_and_devices_apart) {
  sp::layer_problem problem{.in = {9, 9, 5}, .out = {5, 5, 7}, .geometry = {3, 1, 2}};
  auto const graph = convolution_graph(problem, cudnn_pass::forward, 0);
  std::vector<std::string> keys{plan_key(graph, sp::gpu_precision::f32, 91900, "a"),
                                plan_key(graph, sp::gpu_precision::tf32, 91900, "a"),
                                plan_key(graph, sp::gpu_precision::f32, 92000, "a"),
                                plan_key(graph, sp::gpu_precision::f32, 91900, "b")};
  for (auto const pass :
       {cudnn_pass::fused, cudnn_pass::backward_data, cudnn_pass::backward_filter})
    keys.push_back(
        plan_key(convolution_graph(problem, pass, 0), sp::gpu_precision::f32, 91900, "a"));
  problem.batch = 3;
  keys.push_back(plan_key(convolution_graph(problem, cudnn_pass::forward, 0),
                          sp::gpu_precision::f32, 91900, "a"));
  std::sort(keys.begin(), keys.end());
  BOOST_TEST((std::adjacent_find(keys.begin(), keys.end()) == keys.end()));
}

BOOST_AUTO_TEST_SUITE_END()
