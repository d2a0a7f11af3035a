//go:build tools

// Package tools pins the flannel plugin, as it was part of the standard plugins until 0.9.
package tools

import _ "github.com/containernetworking/plugins/plugins/meta/flannel"
