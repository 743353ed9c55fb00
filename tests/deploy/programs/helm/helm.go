// `helm template` with the release's own loader, schema and engine: helm template CHART NAMESPACE VALUES...
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

func try(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) < 4 || os.Args[1] != "template" {
		fmt.Fprintln(os.Stderr, "usage: helm template CHART NAMESPACE VALUES...")
		os.Exit(2)
	}
	chart, err := loader.Load(os.Args[2])
	try(err)
	given := chartutil.Values{}
	for _, file := range os.Args[4:] {
		read, err := chartutil.ReadValuesFile(file)
		try(err)
		given = chartutil.MergeTables(read, given)
	}
	release := chartutil.ReleaseOptions{Name: "seedstream", Namespace: os.Args[3], Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(chart, given, release, chartutil.DefaultCapabilities)
	try(err)
	rendered, err := engine.Render(chart, values)
	try(err)
	names := []string{}
	for name := range rendered {
		if strings.HasSuffix(name, ".yaml") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Printf("---\n# Source: %s\n%s\n", name, rendered[name])
	}
}
