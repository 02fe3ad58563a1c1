//go:build race

package main

// raced is true under the race detector, where simulations take ten times as long.
const raced = true
