#include <cxxabi.h>

#include <boost/test/unit_test.hpp>
#include <memory>
#include <septum/exec/cuda_runtime.hpp>
#include <septum/nn/functor_lists.hpp>
#include <string>

#include "../support/device_layer_run.hpp"
#include "../support/host_device.hpp"

namespace {

using septum::device_space;
using septum::view;

// Adds 1 to each value, so that the order of work shows in the result.
struct add_one {
  view<float, 1, device_space> values;
  void operator()(int, int column) const { values(column) += 1.0F; }
};
struct twice {
  view<float const, 1, device_space> from;
  view<float, 1, device_space> to;
  void operator()(int, int column) const { to(column) = 2.0F * from(column); }
};
using functors = septum::functor_list<add_one, twice>;

std::string demangled(std::string const& name) {
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> const text{
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free};
  return status == 0 ? text.get() : "not a mangled name";
}

bool mentions(septum::error const& failure, std::string const& id, std::string const& text) {
  return failure.id() == id && failure.message().find(text) != std::string::npos;
}

unsigned char const image[1] = {0};

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_runtime)

BOOST_AUTO_TEST_CASE(names_of_entries_are_mangled_names_of_the_launch) {
  // The references back into a name have to be shifted: septum::v0 comes twice in this one.
  using nested = septum::pointwise_forward<septum::rectify, septum::bfloat16>;
  std::string const functor =
      "septum::v0::pointwise_forward<septum::v0::rectify, septum::v0::bfloat16, "
      "septum::v0::device_space>";
  auto text = demangled(septum::kernel_entry_name<nested>());
  // Built with bounds checks, the namespace has another name.
  for (std::size_t at = 0; (at = text.find("v0_checked", at)) != std::string::npos;)
    text.replace(at, 10, "v0");
  BOOST_TEST(text == "void septum_for_each_index<" + functor + " >(" + functor + ", int, int)");
  BOOST_TEST(demangled(septum::kernel_entry_name<septum::convolve_product<16>>())
                 .find("void septum_for_each_block<septum::") == 0U);
  for (auto const& name : kernel_entry_names(septum::layer_functors<septum::float16>{}))
    BOOST_TEST((demangled(name).find("void septum_for_each_index<septum::") == 0U ||
                demangled(name).find("void septum_for_each_block<septum::") == 0U),
               name);
}

BOOST_AUTO_TEST_CASE(launch_shapes_cover_the_index_space_within_the_limits_of_devices) {
  for (int const rows : {1, 2, 7, 1080, 70000, 20'000'000})
    for (int const columns : {1, 3, 31, 256, 1280 * 64}) {
      auto const shape = septum::launch_shape_of({rows, columns});
      BOOST_TEST(shape.block.x * shape.block.y == 256U);
      BOOST_TEST(static_cast<std::int64_t>(shape.grid.x) * shape.block.x >= columns);
      BOOST_TEST(shape.grid.y >= 1U);
      BOOST_TEST(shape.grid.y <= 65535U);
      bool const strides = shape.grid.y == 65535U;
      BOOST_TEST((strides || static_cast<std::int64_t>(shape.grid.y) * shape.block.y >= rows));
    }
}

BOOST_AUTO_TEST_CASE(copies_and_launches_of_a_stream_keep_their_order) {
  for (auto const when : {host_device::order::eager, host_device::order::late}) {
    host_device host{when};
    host.add(functors{});
    auto const api = host_device::api();
    septum::cuda_stream const stream{api};
    septum::kernel_library library{api, image};
    auto const memory = upload(stream, std::vector<float>(10, 5.0F));
    septum::device_memory<float> const doubled{api, 10};
    library.launch(stream, {1, 10}, add_one{memory.values()});
    library.launch(stream, {1, 10}, twice{memory.values(), doubled.values()});
    library.launch(stream, {1, 10}, add_one{memory.values()});
    BOOST_TEST((download(stream, doubled) == std::vector<float>(10, 12.0F)));
    BOOST_TEST((download(stream, memory) == std::vector<float>(10, 7.0F)));
    BOOST_TEST(host.faults.empty());
  }
}

BOOST_AUTO_TEST_CASE(events_order_streams) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    host_device host{host_device::order::late, seed};
    host.add(functors{});
    auto const api = host_device::api();
    septum::cuda_stream const first{api};
    septum::cuda_stream const second{api};
    septum::cuda_event const done{api};
    septum::kernel_library library{api, image};
    auto const memory = upload(first, std::vector<float>(4, 1.0F));
    septum::device_memory<float> const doubled{api, 4};
    library.launch(first, {1, 4}, add_one{memory.values()});
    done.record(first);
    done.hold(second);
    library.launch(second, {1, 4}, twice{memory.values(), doubled.values()});
    BOOST_TEST((download(second, doubled) == std::vector<float>(4, 4.0F)));
  }
}

BOOST_AUTO_TEST_CASE(the_double_shows_a_missing_event) {
  // Without the event some order of the two streams gives another result: the double finds it.
  bool shown = false;
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    host_device host{host_device::order::late, seed};
    host.add(functors{});
    auto const api = host_device::api();
    septum::cuda_stream const first{api};
    septum::cuda_stream const second{api};
    septum::kernel_library library{api, image};
    auto const memory = upload(first, std::vector<float>(4, 1.0F));
    septum::device_memory<float> const doubled{api, 4};
    library.launch(first, {1, 4}, add_one{memory.values()});
    library.launch(second, {1, 4}, twice{memory.values(), doubled.values()});
    shown = shown || download(second, doubled) != std::vector<float>(4, 4.0F);
    first.synchronize();
  }
  BOOST_TEST(shown);
}

BOOST_AUTO_TEST_CASE(recorded_work_runs_when_launched_as_often_as_launched) {
  host_device host;
  host.add(functors{});
  auto const api = host_device::api();
  septum::cuda_stream const stream{api};
  septum::kernel_library library{api, image};
  auto const memory = upload(stream, std::vector<float>(3, 0.0F));
  septum::recorded_work const work{stream, [&] {
                                     library.launch(stream, {1, 3}, add_one{memory.values()});
                                   }};
  BOOST_TEST((download(stream, memory) == std::vector<float>(3, 0.0F)));
  work.launch(stream);
  work.launch(stream);
  BOOST_TEST((download(stream, memory) == std::vector<float>(3, 2.0F)));
  BOOST_CHECK_THROW(
      (septum::recorded_work{stream, [] { throw septum::device_error("septum.device.2", "x"); }}),
      septum::device_error);
  // The stream is usable again.
  library.launch(stream, {1, 3}, add_one{memory.values()});
  BOOST_TEST((download(stream, memory) == std::vector<float>(3, 3.0F)));
  BOOST_TEST(host.faults.empty());
}

BOOST_AUTO_TEST_CASE(memory_is_given_back) {
  host_device host;
  auto const api = host_device::api();
  {
    septum::device_memory<float> first{api, 100};
    septum::device_memory<float> second{std::move(first)};
    septum::pinned_memory<int> const pinned{api, 10};
    septum::device_array<double, 2> const array{api, {3, 4}};
    BOOST_TEST(second.bytes() == 400U);
    BOOST_TEST(array.values().size() == 12);
    BOOST_TEST(host.alive() == 3U);
    BOOST_TEST(host.device_bytes() == 496U);
  }
  BOOST_TEST(host.alive() == 0U);
  BOOST_TEST((septum::device_memory<float>{api, 0}.data() == nullptr));
}

BOOST_AUTO_TEST_CASE(errors_say_what_was_called_and_what_cures) {
  host_device host;
  auto const api = host_device::api();
  host.memory_limit = 100;
  BOOST_CHECK_EXCEPTION((septum::device_memory<float>{api, 26}), septum::device_error,
                        [](auto const& failure) {
                          return mentions(failure, "septum.device.3", "cudaMalloc of 104 bytes") &&
                                 is_out_of_memory(failure);
                        });
  septum::cuda_stream const stream{api};
  septum::kernel_library library{api, image};
  septum::device_memory<float> const memory{api, 4};
  BOOST_CHECK_EXCEPTION(library.launch(stream, {1, 4}, add_one{memory.values()}),
                        septum::device_error, [](auto const& failure) {
                          return mentions(failure, "septum.device.2", "septum_add_cuda_kernels");
                        });
  BOOST_CHECK_EXCEPTION(
      (septum::kernel_library{api, {}}), septum::device_error,
      [](auto const& failure) { return mentions(failure, "septum.device.7", "nvcc 13"); });
}

BOOST_AUTO_TEST_CASE(a_device_that_cannot_serve_says_why) {
  host_device host;
  auto const api = host_device::api();
  BOOST_TEST(select_device(api).compute_capability == 90);
  host.compute_capability = 61;
  BOOST_CHECK_EXCEPTION((void)select_device(api), septum::device_error, [](auto const& failure) {
    return mentions(failure, "septum.device.5", "found 6.1");
  });
  host.compute_capability = 75;
  BOOST_TEST(select_device(api).compute_capability == 75);
  BOOST_CHECK_EXCEPTION((void)select_device(api, 3), septum::device_error, [](auto const& failure) {
    return mentions(failure, "septum.device.4", "GPU 3");
  });
  host.devices = 0;
  host.driver_version = 12080;
  BOOST_CHECK_EXCEPTION((void)select_device(api), septum::device_error, [](auto const& failure) {
    return mentions(failure, "septum.device.4", "the driver serves CUDA 12.8") &&
           mentions(failure, "septum.device.4", "a driver for CUDA 13.0 or newer is wanted");
  });
  host.driver_version = 0;
  BOOST_CHECK_EXCEPTION((void)select_device(api), septum::device_error, [](auto const& failure) {
    return mentions(failure, "septum.device.4", "no NVIDIA driver");
  });
}

BOOST_AUTO_TEST_CASE(a_missing_library_is_named_with_the_version_that_is_wanted) {
  BOOST_CHECK_EXCEPTION(
      (void)septum::detail::load_api<septum::cuda_api>(std::array{"libseptum_no_such.so.1"},
                                                       "septum.device.11", "expected version 1"),
      septum::device_error, [](auto const& failure) {
        return mentions(failure, "septum.device.11", "expected version 1") &&
               mentions(failure, "septum.device.11", "libseptum_no_such.so.1");
      });
  // A library that opens but is another one.
  BOOST_CHECK_EXCEPTION((void)septum::detail::load_api<septum::cuda_api>(
                            std::array{"libc.so.6"}, "septum.device.11", "expected version 1"),
                        septum::device_error, [](auto const& failure) {
                          return mentions(failure, "septum.device.11",
                                          "found one without cudaMalloc");
                        });
}

BOOST_AUTO_TEST_CASE(the_runtime_of_this_machine_loads_or_says_what_is_wanted) {
  try {
    auto const api = septum::load_cuda_api();
    BOOST_TEST_MESSAGE("libcudart.so.13 is installed");
    int version = 0;
    BOOST_TEST(api->runtime_get_version(&version) == 0);
    BOOST_TEST(version >= 13000);
    try {
      (void)septum::select_device(*api);
      BOOST_TEST_MESSAGE("and there is a GPU");
    } catch (septum::device_error const& failure) {
      BOOST_TEST((failure.kind() == septum::fault::resource));
      BOOST_TEST_MESSAGE(failure.what());
    }
  } catch (septum::device_error const& failure) {
    BOOST_TEST(mentions(failure, "septum.device.11", "libcudart.so.13"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
