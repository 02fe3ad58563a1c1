#!/usr/bin/env bash
# Prints the path of the nats command-line client, which the tests run README.md's lines with.
exec "$(dirname "${BASH_SOURCE[0]}")/built.sh" nats github.com/nats-io/natscli/nats 0.5.1
