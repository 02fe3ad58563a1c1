package haproxy_test

import (
	"context"
	"net/http"
	"testing"
)

// TestWhatIsUnderWayIsNoEvidence: a request to a server that does not answer
// counts when it has ended, and then as an error; a version that answers nobody
// never looks as if it made no errors.
func TestWhatIsUnderWayIsNoEvidence(t *testing.T) {
	t.Parallel()
	v := startLive(t, false)
	v.stable.hold.Store(true)
	const users = 3
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	left := make(chan struct{}, users)
	for range users {
		go func() {
			defer func() { left <- struct{}{} }()
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.service.Listen+"/slow", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			if answer, err := http.DefaultClient.Do(request); err == nil {
				_ = answer.Body.Close()
				t.Errorf("it was answered: %s", answer.Status)
			}
		}()
	}
	eventually(t, "the requests to be under way", func() bool { return slot(t, v.Managed, "a1").Sessions == users })
	if got := slot(t, v.Managed, "a1"); got.Attempts() != 0 || got.Errors() != 0 {
		t.Errorf("%d requests and %d errors count while none was answered", got.Attempts(), got.Errors())
	}
	leave()
	for range users {
		<-left
	}
	eventually(t, "the requests to count as errors", func() bool {
		got := slot(t, v.Managed, "a1")
		return got.Attempts() == users && got.Errors() == users
	})
}
