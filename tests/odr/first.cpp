#include "every_header.hpp"

int value_from_the_second_unit();

int main() { return value_from_the_second_unit() == SEPTUM_VERSION_MAJOR ? 0 : 1; }
