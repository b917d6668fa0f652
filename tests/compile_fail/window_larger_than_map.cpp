// expect: septum: a layer's window is larger than the map it receives
// expect: at_layer<2>
// expect: for_input<3, ?3, ?8>
#include <septum/nn/stack.hpp>

struct net : septum::stack<septum::input<1, SEPTUM_FAIL ? 8 : 10>, septum::conv<8, 3>,
                           septum::max_pool<2>, septum::conv<8, 4>> {};
static_assert(net::parameter_count > 0);
