// The anchor on pion/dtls v2: one session one way, and a server for handshakes.
//
//	pion receive <suite> <seconds>          prints port, started, cost (us), result (messages per second)
//	pion send <suite> <port> <bytes>        sends until it is ended
//	pion serve <suite>                      prints port, accepts sessions until it is ended
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/pion/dtls/v2"
)

const lifetime = 2 * time.Minute
const warmUp = 300 * time.Millisecond

var suites = map[string]dtls.CipherSuiteID{
	"PSK-AES128-CCM8":       dtls.TLS_PSK_WITH_AES_128_CCM_8,
	"PSK-AES128-GCM-SHA256": dtls.TLS_PSK_WITH_AES_128_GCM_SHA256,
}

func main() {
	time.AfterFunc(lifetime, func() { os.Exit(1) })
	if len(os.Args) < 3 {
		os.Exit(2)
	}
	config := &dtls.Config{
		PSK: func([]byte) ([]byte, error) {
			return []byte("\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"), nil
		},
		PSKIdentityHint: []byte("bench"),
		CipherSuites:    []dtls.CipherSuiteID{suites[os.Args[2]]},
	}
	switch os.Args[1] {
	case "receive":
		seconds, err := strconv.ParseFloat(os.Args[3], 64)
		check(err)
		session, err := listen(config).Accept()
		check(err)
		receive(session, time.Duration(seconds*float64(time.Second)))
	case "send":
		port, err := strconv.Atoi(os.Args[3])
		check(err)
		bytes, err := strconv.Atoi(os.Args[4])
		check(err)
		send(port, make([]byte, bytes), config)
	case "serve":
		serve(listen(config))
	}
}

func listen(config *dtls.Config) net.Listener {
	listener, err := dtls.Listen("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, config)
	check(err)
	fmt.Println("port", listener.Addr().(*net.UDPAddr).Port)
	return listener
}

func serve(listener net.Listener) {
	for {
		session, err := listener.Accept()
		if err != nil {
			continue
		}
		go func() {
			message := make([]byte, 2048)
			for {
				if _, err := session.Read(message); err != nil {
					session.Close()
					return
				}
			}
		}()
	}
}

func receive(session net.Conn, length time.Duration) {
	message := make([]byte, 2048)
	var warm, started time.Time
	var cpu float64
	for count := 0; ; count++ {
		_, err := session.Read(message)
		check(err)
		if count%64 != 0 {
			continue
		}
		now := time.Now()
		if warm.IsZero() {
			warm = now.Add(warmUp)
		}
		if started.IsZero() && now.After(warm) {
			started = now
			count = 0
			cpu = microseconds()
			fmt.Println("started 0")
		}
		if !started.IsZero() && now.Sub(started) >= length {
			fmt.Println("cost", (microseconds()-cpu)/float64(count))
			fmt.Println("result", float64(count)/now.Sub(started).Seconds())
			return
		}
	}
}

// Processor time of this process, user and system.
func microseconds() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e3
}

func send(port int, message []byte, config *dtls.Config) {
	session, err := dtls.Dial("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, config)
	check(err)
	for {
		if _, err := session.Write(message); err != nil {
			return
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
