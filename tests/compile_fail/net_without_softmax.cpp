// expect: septum: the stack does not end in softmax
// expect: net
#include <septum/backend/reference.hpp>
#include <septum/net/ensemble.hpp>

#include <type_traits>

using last = std::conditional_t<SEPTUM_FAIL, septum::relu, septum::softmax>;
struct net : septum::stack<septum::input<1>, septum::conv<3, 3>, last> {};

static_assert(septum::ensemble<net, septum::reference>::classes == 3);
