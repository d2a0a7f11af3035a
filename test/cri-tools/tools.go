//go:build tools

// Package tools pins the version of crictl, which end-to-end tests drive the daemon with, and of critest, the
// validation suite of the CRI, with the command line of ginkgo that runs it in several processes.
package tools

import (
	_ "github.com/onsi/ginkgo/v2/ginkgo"
	_ "sigs.k8s.io/cri-tools/cmd/crictl"
	_ "sigs.k8s.io/cri-tools/pkg/benchmark"
	_ "sigs.k8s.io/cri-tools/pkg/validate"
)
