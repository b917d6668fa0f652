// expect: septum: the kernel of this layer cannot train
// expect: abacus
#include <septum/backend/reference.hpp>
#include <septum/train/gradient.hpp>

#include <span>
#include <string_view>
#include <type_traits>

struct abacus {
  using memory_space = septum::host_space;
  using fallback = septum::reference;
  static constexpr std::string_view name = "abacus";
};

// Inference only.
template <>
struct septum::kernel<abacus, septum::kind::conv, float> {
  using simple = septum::kernel<septum::reference, septum::kind::conv, float>;
  struct plan {
    simple::plan inner;
  };
  using packed = simple::packed;
  static plan prepare(septum::context<abacus>&, septum::layer_problem const&);
  static packed pack(septum::context<abacus>&, plan const&, std::span<float const>);
  static void forward(septum::context<abacus>&, plan const&, packed const&,
                      septum::view<float const, 4>, septum::view<float, 4>);
};

using backend = std::conditional_t<SEPTUM_FAIL, abacus, septum::reference>;
struct net : septum::stack<septum::input<1>, septum::conv<3, 3>, septum::softmax> {};

septum::gradient_net<net, backend> build() { return septum::gradient_net<net, backend>{}; }
