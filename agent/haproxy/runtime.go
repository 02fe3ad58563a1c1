package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// maxAnswer bounds what is read from a socket; 100 services with 16 slots take
// about 1 MB of "show stat".
const maxAnswer = 16 << 20

// usualAnswer is how much room an answer is given at first: that of one service.
const usualAnswer = 8 << 10

// CommandError is HAProxy's refusal of one runtime command.
type CommandError struct {
	Command, Answer string
}

// Error quotes both.
func (e *CommandError) Error() string {
	return fmt.Sprintf("HAProxy refuses %q: %s", e.Command, e.Answer)
}

// isRefusal reports whether HAProxy has answered, and refused.
func isRefusal(err error) bool {
	_, ok := errors.AsType[*CommandError](err)
	return ok
}

// socket speaks HAProxy's Runtime API: one connection per batch, read to its
// end. A connection that stays open would need prompts, one per command, which
// are easy to lose count of, and would be stuck to an old worker over a reload.
type socket struct {
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	path    string
	timeout time.Duration // of one exchange
	observe func(command string, took time.Duration, err error)
}

// run sends the commands in one line and returns one answer for each.
// HAProxy carries on after a command that fails.
func (s *socket) run(ctx context.Context, commands ...string) ([]string, error) {
	for _, c := range commands {
		if strings.ContainsAny(c, ";\n\r\\<") {
			return nil, fmt.Errorf("runtime command %q: holds a separator", c)
		}
	}
	line := "set severity-output number;" + strings.Join(commands, ";") + "\n"
	began := time.Now()
	text, err := s.exchange(ctx, line)
	s.observe(verb(commands), time.Since(began), err)
	if err != nil {
		return nil, err
	}
	answers, err := splitAnswers(text)
	if err != nil {
		return nil, fmt.Errorf("%w at %s: %w", ErrUnavailable, s.path, err)
	}
	if len(answers) != len(commands)+1 {
		return nil, fmt.Errorf("%w at %s: %d answers to %d commands", ErrUnavailable, s.path, len(answers), len(commands)+1)
	}
	return answers[1:], nil
}

// set runs commands that change something, and reports every refusal.
func (s *socket) set(ctx context.Context, commands ...string) error {
	answers, err := s.run(ctx, commands...)
	if err != nil {
		return err
	}
	var refused []error
	for i, a := range answers {
		if !accepted(a) {
			refused = append(refused, &CommandError{Command: commands[i], Answer: strings.TrimSpace(a)})
		}
	}
	return errors.Join(refused...)
}

// verb is the first command without its arguments: its first two words, of which
// there are few.
func verb(commands []string) string {
	if len(commands) == 0 {
		return ""
	}
	words := strings.Fields(commands[0])
	return strings.Join(words[:min(2, len(words))], " ")
}

// accepted judges the answer to a changing command: nothing, or a message of
// severity 4 (warning: what changed) to 7. 0..3 and text without a number,
// such as "Unknown command" or "Permission denied", are refusals.
func accepted(answer string) bool {
	if answer == "" {
		return true
	}
	return len(answer) >= 3 && answer[0] == '[' && answer[1] >= '4' && answer[1] <= '7' && answer[2] == ']'
}

// exchange writes one line and reads until HAProxy closes.
func (s *socket) exchange(ctx context.Context, line string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := s.dial(ctx, "unix", s.path)
	if err != nil {
		return "", fmt.Errorf("%w at %s: %w", ErrUnavailable, s.path, err)
	}
	defer func() { _ = conn.Close() }() // nothing is lost: the answer was read, or the error is returned
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, line); err != nil {
		return "", fmt.Errorf("%w at %s: send: %w", ErrUnavailable, s.path, err)
	}
	var answer strings.Builder
	answer.Grow(usualAnswer)
	if _, err := io.CopyBuffer(&answer, io.LimitReader(conn, maxAnswer), make([]byte, usualAnswer)); err != nil {
		return "", fmt.Errorf("%w at %s: receive: %w", ErrUnavailable, s.path, err)
	}
	return answer.String(), nil
}

// splitAnswers cuts the text into answers: each is a number of lines that are
// not empty, ended by an empty one. Anything after the last empty line means
// that the connection broke in the middle.
func splitAnswers(text string) ([]string, error) {
	var answers []string
	for text != "" {
		if text[0] == '\n' {
			answers = append(answers, "")
			text = text[1:]
			continue
		}
		answer, rest, whole := strings.Cut(text, "\n\n")
		if !whole {
			return nil, errors.New("answer is cut short")
		}
		answers = append(answers, answer)
		text = rest
	}
	return answers, nil
}
