//go:build tools

// Package crictl pins the version of crictl that the end-to-end tests drive the daemon with.
package crictl

import _ "sigs.k8s.io/cri-tools/cmd/crictl"
