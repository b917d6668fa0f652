# Included by tests/CMakeLists.txt. What needs nvcc: kernels are compiled to machine code for every supported kind of GPU and linked
# into the tests, and to PTX, in which the tests look for the entry of every functor.
septum_add_cuda_kernels(
  test_cuda
  SOURCES cuda/own_functor.cu
  ARCHITECTURES 75 80 86 89 90)
target_link_libraries(test_cuda PRIVATE ${CMAKE_DL_LIBS})

# Tests that need a GPU: a precondition that fails must not count as passed.
septum_add_cuda_kernels(test_gpu)
set_tests_properties(gpu PROPERTIES LABELS gpu SKIP_REGULAR_EXPRESSION
                                    "is skipped because precondition failed")

# CUDA's own headers, against which declarations are compared, where they are installed.
find_path(SEPTUM_CUDA_HEADERS cuda_runtime_api.h HINTS "$ENV{CUDA_PATH}/include"
                                                       /usr/local/cuda/include)
mark_as_advanced(SEPTUM_CUDA_HEADERS)
if(SEPTUM_CUDA_HEADERS)
  target_include_directories(test_cuda SYSTEM PRIVATE "${SEPTUM_CUDA_HEADERS}")
endif()

if(septum_has_nvcc)
  set(ptx "")
  foreach(architecture IN ITEMS 75 90)
    set(file "${CMAKE_CURRENT_BINARY_DIR}/kernels_${architecture}.ptx")
    septum_compile_kernels(
      OUTPUT "${file}" KIND ptx ARCHITECTURES ${architecture}
      SOURCES "${PROJECT_SOURCE_DIR}/cmake/septum_cuda_kernels.cu"
              "${CMAKE_CURRENT_LIST_DIR}/own_functor.cu")
    list(APPEND ptx "${file}")
  endforeach()
  add_custom_target(septum_test_ptx DEPENDS ${ptx})
  add_dependencies(test_cuda septum_test_ptx)
  list(JOIN ptx ":" ptx)
  set_property(
    TEST cuda
    APPEND
    PROPERTY ENVIRONMENT "SEPTUM_TEST_PTX=${ptx}")
endif()

# The double of a GPU as the libraries that the program opens; of use where the program has kernels.
if(septum_has_nvcc AND TARGET septum)
  set(double "${CMAKE_CURRENT_BINARY_DIR}/gpu_double")
  add_library(septum_gpu_double MODULE support/gpu_double.cpp)
  set_target_properties(septum_gpu_double PROPERTIES PREFIX lib OUTPUT_NAME cudart SUFFIX .so.13
                                                     LIBRARY_OUTPUT_DIRECTORY "${double}")
  target_link_libraries(septum_gpu_double PRIVATE septum::septum septum::cudnn septum_warnings)
  add_custom_command(
    TARGET septum_gpu_double
    POST_BUILD
    COMMAND "${CMAKE_COMMAND}" -E create_symlink libcudart.so.13 "${double}/libcudnn.so.9")
  add_dependencies(test_program septum_gpu_double)
  set_property(
    TEST program
    APPEND
    PROPERTY ENVIRONMENT "SEPTUM_GPU_DOUBLE=${double}")
endif()
