# Builds and runs UNITS, and links every header, with the compiler CXX.
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

string(REGEX REPLACE "clang\\+\\+([^/]*)$" "clang\\1" c_compiler "${CXX}")
separate_arguments(UNITS)
list(TRANSFORM UNITS PREPEND test_ OUTPUT_VARIABLE targets)
list(JOIN UNITS "|" names)

run("${CMAKE_COMMAND}" -S "${SEPTUM_SOURCE_DIR}" -B "${WORK_DIR}" -G "${GENERATOR}"
    -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_C_COMPILER=${c_compiler}"
    -DSEPTUM_BUILD_EXAMPLES=OFF -DSEPTUM_BUILD_BENCHMARKS=OFF)
run("${CMAKE_COMMAND}" --build "${WORK_DIR}" --target odr_plain ${targets})
run("${CMAKE_CTEST_COMMAND}" --test-dir "${WORK_DIR}" --output-on-failure -R "^(${names})$")
run("${CMAKE_CTEST_COMMAND}" --test-dir "${WORK_DIR}" --output-on-failure -L compile_fail)
