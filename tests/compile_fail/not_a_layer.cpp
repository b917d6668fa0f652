// expect: septum: a type in the stack is not a Layer
// expect: blur
#include <septum/nn/stack.hpp>

struct blur {
  static constexpr septum::window geometry{};
};

template <bool Fail>
struct third {
  using layer = septum::relu;
};
template <>
struct third<true> {
  using layer = blur;
};

struct net : septum::stack<septum::input<1>, septum::conv<8, 3>, third<SEPTUM_FAIL>::layer> {};
static_assert(net::parameter_count > 0);
