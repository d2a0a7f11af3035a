// Command streams opens the URLs of a CRI runtime's streaming server with the libraries that kubectl and the
// kubelet are made of, in the ways that crictl has no flags for.
//
//	streams exec [-transport spdy|websocket] [-protocol NAME] [-tty] [-stdin] URL
//	streams abort [-count N] [-parallel N] [-refused PORT] [-port PORT] URL
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

func main() {
	if len(os.Args) < 2 {
		fail(errors.New("exec or abort?"))
	}
	switch os.Args[1] {
	case "exec":
		runExec(os.Args[2:])
	case "abort":
		runAbort(os.Args[2:])
	default:
		fail(fmt.Errorf("%q: exec or abort?", os.Args[1]))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(125)
}

// runExec joins its own streams to a command and exits as that does.
func runExec(args []string) {
	flags := flag.NewFlagSet("exec", flag.ExitOnError)
	transport := flags.String("transport", "spdy", "spdy or websocket")
	protocol := flags.String("protocol", "v4.channel.k8s.io", "the one that is offered")
	tty := flags.Bool("tty", false, "the URL is of a command with a terminal")
	stdin := flags.Bool("stdin", false, "pass the standard input on")
	flags.Parse(args)
	target, err := url.Parse(flags.Arg(0))
	if err != nil {
		fail(err)
	}
	config := &rest.Config{Host: target.Host, TLSClientConfig: rest.TLSClientConfig{Insecure: target.Scheme == "https"}}
	var executor remotecommand.Executor
	if *transport == "websocket" {
		executor, err = remotecommand.NewWebSocketExecutorForProtocols(config, "GET", target.String(), *protocol)
	} else {
		var round http.RoundTripper
		var upgrader spdy.Upgrader
		round, upgrader, err = spdy.RoundTripperFor(config)
		if err == nil {
			executor, err = remotecommand.NewSPDYExecutorForProtocols(round, upgrader, "POST", target, *protocol)
		}
	}
	if err != nil {
		fail(err)
	}
	options := remotecommand.StreamOptions{Stdout: os.Stdout, Tty: *tty}
	if !*tty {
		options.Stderr = os.Stderr
	}
	if *stdin {
		options.Stdin = os.Stdin
	}
	err = executor.StreamWithContext(context.Background(), options)
	var coded exec.CodeExitError
	if errors.As(err, &coded) {
		os.Exit(coded.Code)
	}
	if err != nil {
		fail(err)
	}
}

// runAbort opens many connections through one session and leaves each of them in another rude way. At its end
// the session must still serve a whole one.
func runAbort(args []string) {
	flags := flag.NewFlagSet("abort", flag.ExitOnError)
	count := flags.Int("count", 100, "connections")
	parallel := flags.Int("parallel", 8, "of them at once")
	port := flags.Int("port", 80, "where a web server listens")
	refused := flags.Int("refused", 81, "where nothing listens")
	flags.Parse(args)
	target, err := url.Parse(flags.Arg(0))
	if err != nil {
		fail(err)
	}
	round, upgrader, err := spdy.RoundTripperFor(&rest.Config{Host: target.Host})
	if err != nil {
		fail(err)
	}
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: round}, "POST", target)
	connection, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		fail(err)
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for range *parallel {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				number := int(next.Add(1)) - 1
				if number >= *count {
					return
				}
				if err := abort(connection, number, *port, *refused); err != nil {
					fail(fmt.Errorf("connection %d: %w", number, err))
				}
			}
		}()
	}
	group.Wait()
	body, err := whole(connection, *count, *port)
	if err != nil {
		fail(err)
	}
	fmt.Printf("%d aborted, then %d bytes\n", *count, len(body))
	// Until the test has looked at the daemon.
	io.Copy(io.Discard, os.Stdin)
	connection.Close()
}

func pair(connection httpstream.Connection, number, port int) (data, problem httpstream.Stream, err error) {
	headers := http.Header{}
	headers.Set("streamType", "error")
	headers.Set("port", strconv.Itoa(port))
	headers.Set("requestID", strconv.Itoa(number))
	if problem, err = connection.CreateStream(headers); err != nil {
		return nil, nil, err
	}
	problem.Close()
	headers.Set("streamType", "data")
	data, err = connection.CreateStream(headers)
	return data, problem, err
}

func abort(connection httpstream.Connection, number, port, refused int) error {
	way := number % 6
	if way == 5 {
		port = refused
	}
	data, problem, err := pair(connection, number, port)
	if err != nil {
		return err
	}
	defer connection.RemoveStreams(data, problem)
	switch way {
	case 0: // at once
		problem.Reset()
	case 1: // half a request
		io.WriteString(data, "GET / HTTP/1.1\r\nHo")
	case 2: // a request whose answer nobody reads
		io.WriteString(data, "GET / HTTP/1.0\r\n\r\n")
	case 3: // one byte of the answer
		io.WriteString(data, "GET / HTTP/1.0\r\n\r\n")
		if _, err := io.ReadFull(data, make([]byte, 1)); err != nil {
			return err
		}
	case 4: // nothing to say
		data.Close()
		_, err := io.Copy(io.Discard, data)
		return err
	case 5:
		text, err := io.ReadAll(problem)
		if err == nil && len(text) == 0 {
			err = errors.New("a refused connection without an error")
		}
		data.Reset()
		return err
	}
	return data.Reset()
}

func whole(connection httpstream.Connection, number, port int) ([]byte, error) {
	data, problem, err := pair(connection, number, port)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(data, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return nil, err
	}
	data.Close()
	body, err := io.ReadAll(data)
	if err == nil && len(body) == 0 {
		err = errors.New("an empty answer")
	}
	if text, _ := io.ReadAll(problem); err == nil && len(text) > 0 {
		err = errors.New(string(text))
	}
	return body, err
}
