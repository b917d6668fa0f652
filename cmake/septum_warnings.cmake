# septum_warnings: linked by our own executables only. Users never see these flags.
add_library(septum_warnings INTERFACE)
target_compile_options(septum_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False alarms of g++ 12 at -O2 and -O3: out-of-bounds access inside xtensor's sort, overflow
  # inside std::vector::insert and std::string's operator+, empty optionals read where they are not.
  target_compile_options(septum_warnings INTERFACE -Wno-array-bounds -Wno-stringop-overflow
                                                   -Wno-restrict -Wno-maybe-uninitialized)
endif()
if(SEPTUM_WARNINGS_AS_ERRORS)
  target_compile_options(septum_warnings INTERFACE -Werror)
endif()
