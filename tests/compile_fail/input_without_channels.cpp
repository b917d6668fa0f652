// expect: septum: input<Channels, Patch> wants at least one channel
#include <septum/nn/stack.hpp>

struct net : septum::stack<septum::input<SEPTUM_FAIL ? 0 : 1>, septum::conv<8, 3>> {};
static_assert(net::parameter_count > 0);
