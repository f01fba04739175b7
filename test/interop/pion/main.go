// An echo server, an echo client and a line client on pion/dtls v2, for pion.test.ts and records.test.ts.
//
//	pion server <key in hex> <identity hint> <cipher suite>
//	pion echo <port> <key in hex> <identity> <cipher suite>
//	pion client <port> <key in hex> <identity> <cipher suite>
//
// Both require the extended master secret (RFC 7627), as Go programs in the field do. The server
// prints "listening on <port>", then for each session "accepted <identity>"; the line client
// prints "connected", then what comes back for each line of its stdin. It gives up after five seconds.
// What echoes prints "exporter <hex>" and ends its session when its stdin ends, as ../peers/echo.h says.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v2"
)

var suites = map[string]dtls.CipherSuiteID{
	"PSK-AES128-GCM-SHA256": dtls.TLS_PSK_WITH_AES_128_GCM_SHA256,
	"PSK-AES128-CCM8":       dtls.TLS_PSK_WITH_AES_128_CCM_8,
	"PSK-AES128-CCM":        dtls.TLS_PSK_WITH_AES_128_CCM,
	"PSK-AES256-CCM8":       dtls.TLS_PSK_WITH_AES_256_CCM_8,
}

func main() {
	if len(os.Args) != 5 && len(os.Args) != 6 {
		fail(fmt.Errorf("expected server or client and their arguments, see main.go"))
	}
	switch os.Args[1] {
	case "server":
		serve(config(os.Args[2], os.Args[3], os.Args[4]))
	case "client", "echo":
		port, err := strconv.Atoi(os.Args[2])
		check(err)
		conn := dial(port, config(os.Args[3], os.Args[4], os.Args[5]))
		defer conn.Close()
		if os.Args[1] == "echo" {
			echo(conn)
		} else {
			converse(conn)
		}
	}
}

func config(keyText, identity, suite string) *dtls.Config {
	key, err := hex.DecodeString(keyText)
	check(err)
	id, known := suites[suite]
	if !known {
		fail(fmt.Errorf("unknown cipher suite %s", suite))
	}
	return &dtls.Config{
		PSK: func(hint []byte) ([]byte, error) {
			fmt.Printf("peer says %q\n", hint)
			return key, nil
		},
		// The client's identity; on a server the identity hint.
		PSKIdentityHint:      []byte(identity),
		CipherSuites:         []dtls.CipherSuiteID{id},
		ExtendedMasterSecret: dtls.RequireExtendedMasterSecret,
		ConnectContextMaker: func() (context.Context, func()) {
			return context.WithTimeout(context.Background(), 5*time.Second)
		},
	}
}

func serve(config *dtls.Config) {
	listener, err := dtls.Listen("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, config)
	check(err)
	fmt.Printf("listening on %d\n", listener.Addr().(*net.UDPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			fmt.Printf("refused: %v\n", err)
			continue
		}
		state := conn.(*dtls.Conn).ConnectionState()
		fmt.Printf("accepted %s\n", state.IdentityHint)
		go echo(conn)
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	state := conn.(*dtls.Conn).ConnectionState()
	if exported, err := state.ExportKeyingMaterial("EXPORTER-mcbn-interop", nil, 32); err == nil {
		fmt.Printf("exporter %x\n", exported)
	}
	var ending atomic.Bool
	said := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		ending.Store(true)
		conn.Close()
		close(said)
	}()
	buffer := make([]byte, 16*1024)
	for echoed := 0; ; echoed++ {
		n, err := conn.Read(buffer)
		if err != nil {
			if !ending.Load() {
				fmt.Println("closed by peer")
			}
			fmt.Printf("echoed %d\n", echoed)
			fmt.Printf("closed: %v\n", err)
			if ending.Load() {
				<-said // Close stops Read before it sends close_notify
			}
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func dial(port int, config *dtls.Config) net.Conn {
	conn, err := dtls.Dial("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, config)
	check(err)
	return conn
}

func converse(conn net.Conn) {
	fmt.Println("connected")
	lines := bufio.NewReader(os.Stdin)
	buffer := make([]byte, 16*1024)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		_, err = conn.Write(line)
		check(err)
		check(conn.SetReadDeadline(time.Now().Add(5 * time.Second)))
		n, err := conn.Read(buffer)
		check(err)
		os.Stdout.Write(buffer[:n])
	}
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
