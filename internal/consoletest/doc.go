// Package consoletest is the test of the web console on a whole fleet: real
// coordinators and agents in real time, looked at with a real browser.
package consoletest
