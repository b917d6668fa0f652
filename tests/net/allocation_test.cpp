// forward allocates nothing, whatever the convolution: every operator new of the program counts.
#include <septum/net/net.hpp>
#include <septum/nn/feature_nets.hpp>
#include <support/types.hpp>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

namespace {

std::atomic<long> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  std::size_t const whole = (bytes + alignment - 1) / alignment * alignment;
  void* const memory = std::aligned_alloc(alignment, whole == 0 ? alignment : whole);
  if (memory == nullptr) throw std::bad_alloc{};
  return memory;
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return counted(bytes, alignof(std::max_align_t));
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace {

template <class B>
long allocations_of_forward(int height, septum::convolution_algorithm convolution) {
  using form = septum::fused_t<septum::fully_convolutional_t<septum::bn_feature_net_31x31<>>>;
  septum::net<form, B> net{septum::exec::threads{2}, convolution};
  constexpr int width = 40;
  net.prepare(1, height, width);
  auto const set = net.pack(std::vector<float>(form::parameter_count, 0.01F));
  auto const size = net.output();
  std::vector<float> const x(static_cast<std::size_t>(height * width), 1.0F);
  std::vector<float> y(size.size());
  septum::view<float const, 4> const in{x.data(), {1, height, width, 1}};
  septum::view<float, 4> const out{y.data(), {1, size.height, size.width, size.channels}};
  net.forward(set, in, out);
  long const before = allocations;
  net.forward(set, in, out);
  return allocations - before;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(allocation)

BOOST_AUTO_TEST_CASE_TEMPLATE(forward_allocates_nothing, B, tested_backends) {
  if (!septum::detail::has_direct_convolution()) return;  // oneDNN allocates in every call
  BOOST_TEST(allocations > 0L);
  for (int const height : {35, 700})  // layer by layer, and a few rows at a time
    for (auto const convolution :
         {septum::convolution_algorithm::direct, septum::convolution_algorithm::winograd})
      BOOST_TEST(allocations_of_forward<B>(height, convolution) == 0L, "height " << height);
}

BOOST_AUTO_TEST_SUITE_END()
