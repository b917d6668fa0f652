# septum_warnings: linked by our own executables only. Users never see these flags.
add_library(septum_warnings INTERFACE)
target_compile_options(septum_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports a false out-of-bounds access inside xtensor's sort at -O2.
  target_compile_options(septum_warnings INTERFACE -Wno-array-bounds)
endif()
if(SEPTUM_WARNINGS_AS_ERRORS)
  target_compile_options(septum_warnings INTERFACE -Werror)
endif()
