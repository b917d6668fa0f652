#pragma once
#include <septum/core/config.hpp>
#include <septum/core/view.hpp>
#include <septum/track/assignment_problem.hpp>
#include <septum/track/greedy_assignment.hpp>
#include <septum/track/jonker_volgenant.hpp>
#include <septum/track/sparse_assignment.hpp>

#include <concepts>

namespace septum::inline SEPTUM_ABI {

/// Pairs rows with columns of a dense cost matrix (+inf: no pair). Models: jonker_volgenant
/// (optimal, with proof), greedy_assignment (neither).
template <class Solver>
concept Assignment = requires(Solver const& solve, view<double const, 2> costs) {
  { solve(costs) } -> std::same_as<assignment>;
};

/// The same over the pairs that exist, every row and column with its own price of staying alone.
/// Models: sparse_assignment (optimal, with proof), greedy_assignment (neither).
template <class Solver>
concept SparseAssignment = requires(Solver const& solve, sparse_costs const& costs) {
  { solve(costs) } -> std::same_as<assignment>;
};

static_assert(Assignment<jonker_volgenant> && Assignment<greedy_assignment>);
static_assert(SparseAssignment<sparse_assignment> && SparseAssignment<greedy_assignment>);

}  // namespace septum::inline SEPTUM_ABI
