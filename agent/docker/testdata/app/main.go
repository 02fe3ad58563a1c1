// Command app is what the live tests run in containers: it prints its lines,
// serves on :8080, and dies in the way that it is asked to.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// fallen is there once the program is sick.
const fallen = "/fallen"

// check is the HEALTHCHECK.
func check() {
	for {
		if _, err := os.Stat(fallen); err == nil {
			os.Exit(1)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "check" {
		check()
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM) // before it says that it is there
	fmt.Println("line 1")
	fmt.Fprintln(os.Stderr, "line 2")
	fmt.Println("GREETING=" + os.Getenv("GREETING"))
	go func() {
		<-stop
		if os.Getenv("STUBBORN") == "" {
			os.Exit(0)
		}
	}()
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("/fall", func(http.ResponseWriter, *http.Request) {
		if err := os.WriteFile(fallen, nil, 0o600); err != nil {
			os.Exit(1)
		}
	})
	http.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		os.Exit(code)
	})
	http.HandleFunc("/eat", func(http.ResponseWriter, *http.Request) {
		var eaten [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 1 << 10 {
				b[i] = 1
			}
			eaten = append(eaten, b)
		}
	})
	if err := http.ListenAndServe(":8080", nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
