// Package demo shows the main job on one machine with real parts: coordinator
// replicas and agents as processes of their own, a HAProxy for each agent, real
// containers, a registry on loopback, and load from outside. It installs one
// version of a small app, rolls out a good one and then a bad one.
//
// Everything that a demo makes carries its run's name: files stand in one
// directory, processes name that directory on their command line, containers
// carry its hosts' label. A sweeper, a process of its own, ends and removes all
// of that as soon as the demo is gone, however it ended.
package demo
