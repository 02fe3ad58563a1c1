package haproxy_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/serin-rollouts/serin/agent/haproxy"
)

// TestSplitIsExactStickyAndMonotone asks as many users with cookies at growing
// shares. Who is on the canary is known beforehand (bucket), so the split
// is exact, and nobody leaves the canary while it grows.
func TestSplitIsExactStickyAndMonotone(t *testing.T) {
	t.Parallel()
	const users = 400
	v := startLive(t, true)
	canary := startContainer(t, "127.0.0.3", "canary")
	must(t, v.Attach(t.Context(), "web", "b1", canary.addr))
	for _, share := range []int{10, 100, 1000, 5000, 10000, 0} {
		must(t, v.SetSplit(t.Context(), "web", haproxy.Split{Share: share, Salt: "r7", Bank: "b", Replicas: 1}))
		var g errgroup.Group
		g.SetLimit(8)
		for u := range users {
			g.Go(func() error {
				user := fmt.Sprintf("user-%08d", u)
				on, err := onCanary(t.Context(), v.service.Listen, user)
				if want := bucket(user, "r7") < share; err == nil && on != want {
					err = fmt.Errorf("share %d: %s on the canary: %v", share, user, on)
				}
				return err
			})
		}
		must(t, g.Wait())
	}
}

// TestBuckets checks the hash that HAProxy splits by: every share is met, for
// every salt, within five standard deviations.
func TestBuckets(t *testing.T) {
	t.Parallel()
	const users = 200_000
	for _, salt := range []string{"r7", "3f9a1c", "x"} {
		var count [10000]int
		for u := range users {
			count[bucket(fmt.Sprintf("%08x-%04d", u*2654435761, u%977), salt)]++
		}
		n, at := 0, 0
		for _, share := range []int{10, 100, 500, 1000, 5000} {
			for ; at < share; at++ {
				n += count[at]
			}
			p := float64(share) / 10000
			if sd := math.Sqrt(users * p * (1 - p)); math.Abs(float64(n)-users*p) > 5*sd {
				t.Errorf("salt %s, share %d: %d of %d users, want %.0f (sd %.0f)", salt, share, n, users, users*p, sd)
			}
		}
	}
}

// bucket is what the rendered file computes: xxh32("<user>.<salt>") mod 10000.
func bucket(user, salt string) int { return int(xxh32([]byte(user+"."+salt)) % 10000) }

// xxh32 is XXH32 with seed 0, after its specification.
func xxh32(b []byte) uint32 {
	const p1, p2, p3, p4, p5 uint32 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
	n, h := uint32(len(b)), p5
	if len(b) >= 16 {
		v := [4]uint32{p1, p2, 0, 0}
		v[0] += p2
		v[3] -= p1
		for ; len(b) >= 16; b = b[16:] {
			for i := range v {
				v[i] = bits.RotateLeft32(v[i]+binary.LittleEndian.Uint32(b[4*i:])*p2, 13) * p1
			}
		}
		h = bits.RotateLeft32(v[0], 1) + bits.RotateLeft32(v[1], 7) + bits.RotateLeft32(v[2], 12) + bits.RotateLeft32(v[3], 18)
	}
	h += n
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*p3, 17) * p4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*p5, 11) * p1
	}
	h = (h ^ h>>15) * p2
	h = (h ^ h>>13) * p3
	return h ^ h>>16
}

// Another revision tries other users first, and who has no cookie gets one
// that sticks.
func TestSaltAndNewUsers(t *testing.T) {
	t.Parallel()
	both := 0
	for u := range 10000 {
		user := fmt.Sprintf("user-%08d", u)
		if bucket(user, "r7") < 1000 && bucket(user, "r8") < 1000 {
			both++
		}
	}
	if both < 50 || both > 150 { // 100 by chance, sd 10
		t.Errorf("%d of 10000 users are in the first tenth of two revisions", both)
	}
	v := startLive(t, true)
	canary := startContainer(t, "127.0.0.3", "canary")
	must(t, v.Attach(t.Context(), "web", "b1", canary.addr))
	must(t, v.SetSplit(t.Context(), "web", haproxy.Split{Share: 5000, Salt: "r8", Bank: "b", Replicas: 1}))
	resp, err := http.Get("http://" + v.service.Listen)
	must(t, err)
	first, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	cookies := resp.Cookies()
	if len(cookies) != 1 || cookies[0].Name != "serin_uid" {
		t.Fatalf("cookies of a new user: %v", cookies)
	}
	for range 20 {
		on, err := onCanary(t.Context(), v.service.Listen, cookies[0].Value)
		must(t, err)
		if on != strings.HasPrefix(string(first), "canary") || on != (bucket(cookies[0].Value, "r8") < 5000) {
			t.Fatal("a new user does not stay")
		}
	}
}

func onCanary(ctx context.Context, listen, user string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen, nil)
	if err != nil {
		return false, err
	}
	req.AddCookie(&http.Cookie{Name: "serin_uid", Value: user})
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return false, err
	}
	if resp.StatusCode != http.StatusOK || len(resp.Cookies()) != 0 {
		return false, fmt.Errorf("status %d, cookies %v", resp.StatusCode, resp.Cookies())
	}
	return strings.HasPrefix(string(body), "canary"), nil
}
