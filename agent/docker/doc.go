// Package docker drives one Docker Engine for the agent: containers found by
// label, images pinned to bytes, and the stream of what happened to them.
//
// It is a leaf: it imports no other package of serin and is the only importer
// of the Docker SDK, so that a move to another SDK is a change in one place.
//
// Four rules hold for every method.
//
//   - Nothing without the caller's labels is ever listed, reused or reported.
//   - What is done twice is done once: Create, Start, Stop, Remove and Pull
//     may be repeated after a crash at any instruction.
//   - Every call has a deadline. A stopped dockerd accepts connections and
//     never answers; without deadlines its agent would hang with it.
//   - An error says what was tried, what the daemon said, and what to do.
//     ErrUnavailable, ErrNotFound, ErrNameTaken and ErrPull sort them.
//
// Containers publish no ports. They are reached on their own address in their
// Docker network: a published port costs a hop through docker-proxy, which
// accepts connections even where nothing listens behind it. Docker hands the
// address of a stopped container to the next one at once, so whoever keeps an
// address must compare it with List before using it again.
package docker
