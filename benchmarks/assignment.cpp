// Time of the assignment solvers. Prints one line of JSON per problem.
//
//   bench_assignment                              uniform and track-like problems of its own
//   bench_assignment dense FILE ROWS COLUMNS      doubles, row by row
//   bench_assignment sparse FILE ROWS COLUMNS PRICE
//                                                 row offsets (int64), then columns (int32) and
//                                                 costs (double) of all edges; PRICE of an
//                                                 unassigned row
//
// peers/assignment.py writes such files and times other libraries on them.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <exception>
#include <fstream>
#include <septum/core/rng.hpp>
#include <septum/track/assignment.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace sp = septum;
using clock_type = std::chrono::steady_clock;

template <class Number>
Number number(char const* text) {
  Number value{};
  auto const end = text + std::strlen(text);
  if (std::from_chars(text, end, value).ptr != end) throw std::runtime_error{"not a number"};
  return value;
}

/// Largest resident memory so far. getrusage would count what the parent had before it became us.
long long peak_bytes() {
  std::ifstream status{"/proc/self/status"};
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with("VmHWM:"))
      return 1024 *
             number<long long>(line.substr(line.find_first_of("0123456789"),
                                           line.find(" kB") - line.find_first_of("0123456789"))
                                   .c_str());
  return 0;
}

template <class Solve>
void report(std::string const& name, int repeats, Solve const& solve) {
  std::vector<double> seconds;
  sp::assignment result;
  std::clock_t const cpu_start = std::clock();
  for (int i = 0; i < repeats; ++i) {
    auto const start = clock_type::now();
    sp::assignment found = solve();
    seconds.push_back(std::chrono::duration<double>(clock_type::now() - start).count());
    result = std::move(found);
  }
  double const cpu = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC / repeats;
  std::sort(seconds.begin(), seconds.end());
  std::printf(
      "{\"problem\": \"%s\", \"seconds\": %.6f, \"fastest\": %.6f, \"cpu_seconds\": %.6f, "
      "\"cost\": %.17g, \"pairs\": "
      "%lld, "
      "\"peak_bytes\": %lld}\n",
      name.c_str(), seconds[seconds.size() / 2], seconds.front(), cpu, result.cost,
      static_cast<long long>(result.pairs), peak_bytes());
  std::fflush(stdout);
}

void dense(std::string const& name, std::vector<double> const& costs, std::ptrdiff_t rows,
           std::ptrdiff_t columns, int repeats) {
  sp::view<double const, 2> const matrix{costs.data(), {rows, columns}};
  report(name, repeats, [&] { return sp::jonker_volgenant{}(matrix); });
}

void sparse(std::string const& name, sp::sparse_costs const& costs, int repeats) {
  report(name, repeats, [&] { return sp::sparse_assignment{}(costs); });
}

template <class T>
std::vector<T> read(std::ifstream& file, std::size_t count) {
  std::vector<T> values(count);
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(count * sizeof(T)));
  if (!file) throw std::runtime_error{"the file is too short"};
  return values;
}

sp::sparse_costs read_sparse(std::ifstream& file, std::int32_t rows, std::int32_t columns,
                             double price) {
  sp::sparse_costs costs;
  costs.rows = rows;
  costs.columns = columns;
  auto const begin = read<std::int64_t>(file, static_cast<std::size_t>(rows) + 1);
  costs.row_begin.assign(begin.begin(), begin.end());
  costs.column = read<std::int32_t>(file, costs.row_begin.back());
  costs.cost = read<double>(file, costs.row_begin.back());
  costs.row_unassigned.assign(static_cast<std::size_t>(rows), price);
  return costs;
}

std::vector<double> uniform_matrix(std::size_t n) {
  sp::counter_rng const rng{.seed = 1};
  std::vector<double> costs(n * n);
  for (std::size_t i = 0; i < costs.size(); ++i) costs[i] = rng.uniform(i);
  return costs;
}

/// Squared distances between cells that moved a little, one in twenty replaced by a new one.
std::vector<double> track_matrix(std::size_t n) {
  sp::counter_rng const rng{.seed = 2};
  double const side = 10 * std::sqrt(static_cast<double>(n));
  std::vector<double> x(2 * n), y(2 * n), costs(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    bool const is_new = i % 20 == 0;
    x[i] = side * rng.uniform(4 * i);
    y[i] = side * rng.uniform(4 * i + 1);
    x[n + i] = is_new ? side * rng.uniform(4 * i + 2) : x[i] + 2 * rng.normal(4 * i + 2);
    y[n + i] = is_new ? side * rng.uniform(4 * i + 3) : y[i] + 2 * rng.normal(4 * i + 3);
  }
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j)
      costs[i * n + j] =
          (x[i] - x[n + j]) * (x[i] - x[n + j]) + (y[i] - y[n + j]) * (y[i] - y[n + j]);
  return costs;
}

sp::sparse_costs random_candidates(std::int32_t n, int candidates, double price) {
  sp::counter_rng const rng{.seed = 3};
  sp::sparse_costs costs;
  costs.columns = n;
  std::uint64_t draw = 0;
  for (std::int32_t row = 0; row < n; ++row) {
    costs.add_row(price);
    for (int k = 0; k < candidates; ++k, draw += 2)
      costs.add_edge(static_cast<std::int32_t>(rng.below(draw, static_cast<std::uint64_t>(n))),
                     rng.uniform(draw + 1));
  }
  return costs;
}

void run(int argc, char** argv) {
  if (argc == 1) {
    for (std::size_t const n : {1000U, 3000U}) {
      auto const size = static_cast<std::ptrdiff_t>(n);
      dense("uniform " + std::to_string(n), uniform_matrix(n), size, size, 5);
      dense("track-like " + std::to_string(n), track_matrix(n), size, size, 5);
    }
    sparse("100000 rows, 10 candidates, staying alone costs 1", random_candidates(100000, 10, 1.0),
           3);
    sparse("100000 rows, 10 candidates, staying alone costs 1000",
           random_candidates(100000, 10, 1000.0), 1);
    return;
  }
  std::string const form = argv[1];
  if ((form != "dense" || argc != 5) && (form != "sparse" || argc != 6))
    throw std::runtime_error{"expected dense FILE ROWS COLUMNS, or sparse FILE ROWS COLUMNS PRICE"};
  std::ifstream file{argv[2], std::ios::binary};
  auto const rows = number<std::int32_t>(argv[3]);
  auto const columns = number<std::int32_t>(argv[4]);
  if (form == "dense")
    dense(argv[2],
          read<double>(file, static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns)),
          rows, columns, 5);
  else
    sparse(argv[2], read_sparse(file, rows, columns, number<double>(argv[5])), 3);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
  } catch (std::exception const& e) {
    std::fprintf(stderr, "bench_assignment: %s\n", e.what());
    return 2;
  }
}
