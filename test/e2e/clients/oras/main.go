// oras pushes, attaches, discovers, pulls and copies OCI artifacts with oras-go; see README.md.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/registry/remote"
)

const usage = "usage: oras push|attach|discover|pull|copy REFERENCE [OTHER] [--type T] [--output FOLDER] [FILE…]"

type options struct {
	artifactType string
	output       string
	args         []string
}

func open(reference string) (*remote.Repository, error) {
	repo, err := remote.NewRepository(reference)
	if err != nil {
		return nil, err
	}
	repo.PlainHTTP = true
	return repo, nil
}

func push(ctx context.Context, opt options, attach bool) (any, error) {
	repo, err := open(opt.args[0])
	if err != nil {
		return nil, err
	}
	store, err := file.New(".")
	if err != nil {
		return nil, err
	}
	defer store.Close()
	pack := oras.PackManifestOptions{}
	for _, name := range opt.args[1:] {
		absolute, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		layer, err := store.Add(ctx, filepath.Base(name), "application/vnd.example.file", absolute)
		if err != nil {
			return nil, err
		}
		pack.Layers = append(pack.Layers, layer)
	}
	tag := repo.Reference.Reference
	if attach {
		subject, err := repo.Resolve(ctx, tag)
		if err != nil {
			return nil, err
		}
		pack.Subject = &subject
	}
	manifest, err := oras.PackManifest(ctx, store, oras.PackManifestVersion1_1, opt.artifactType, pack)
	if err != nil {
		return nil, err
	}
	if attach {
		return manifest, oras.CopyGraph(ctx, store, repo, manifest, oras.DefaultCopyGraphOptions)
	}
	if err := store.Tag(ctx, manifest, tag); err != nil {
		return nil, err
	}
	return oras.Copy(ctx, store, tag, repo, tag, oras.DefaultCopyOptions)
}

func discover(ctx context.Context, opt options) (any, error) {
	repo, err := open(opt.args[0])
	if err != nil {
		return nil, err
	}
	// The fallback to tags would hide a registry without the referrers API.
	if err := repo.SetReferrersCapability(true); err != nil {
		return nil, err
	}
	subject, err := repo.Resolve(ctx, repo.Reference.Reference)
	if err != nil {
		return nil, err
	}
	found := []ocispec.Descriptor{}
	err = repo.Referrers(ctx, subject, opt.artifactType, func(page []ocispec.Descriptor) error {
		found = append(found, page...)
		return nil
	})
	return found, err
}

func pull(ctx context.Context, opt options) (any, error) {
	repo, err := open(opt.args[0])
	if err != nil {
		return nil, err
	}
	store, err := file.New(opt.output)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return oras.Copy(ctx, repo, repo.Reference.Reference, store, "", oras.DefaultCopyOptions)
}

func copyAll(ctx context.Context, opt options) (any, error) {
	from, err := open(opt.args[0])
	if err != nil {
		return nil, err
	}
	to, err := open(opt.args[1])
	if err != nil {
		return nil, err
	}
	return oras.ExtendedCopy(ctx, from, from.Reference.Reference, to, to.Reference.Reference, oras.DefaultExtendedCopyOptions)
}

func run(ctx context.Context, command string, opt options) (any, error) {
	switch command {
	case "push":
		return push(ctx, opt, false)
	case "attach":
		return push(ctx, opt, true)
	case "discover":
		return discover(ctx, opt)
	case "pull":
		return pull(ctx, opt)
	case "copy":
		if len(opt.args) == 2 {
			return copyAll(ctx, opt)
		}
	}
	return nil, fmt.Errorf("%s", usage)
}

// parse takes flags before, between and after the arguments.
func parse(rest []string) (options, error) {
	var opt options
	fs := flag.NewFlagSet("oras", flag.ContinueOnError)
	fs.StringVar(&opt.artifactType, "type", "", "artifact type")
	fs.StringVar(&opt.output, "output", ".", "folder that pull writes to")
	for len(rest) > 0 {
		if err := fs.Parse(rest); err != nil {
			return opt, err
		}
		if rest = fs.Args(); len(rest) > 0 {
			opt.args, rest = append(opt.args, rest[0]), rest[1:]
		}
	}
	if len(opt.args) == 0 {
		return opt, fmt.Errorf("%s", usage)
	}
	return opt, nil
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	opt, err := parse(os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	result, err := run(ctx, os.Args[1], opt)
	if err != nil {
		fmt.Fprintln(os.Stderr, "oras:", err)
		os.Exit(1)
	}
	out, err := json.Marshal(result)
	if err != nil {
		fmt.Fprintln(os.Stderr, "oras:", err)
		os.Exit(1)
	}
	fmt.Println(string(out))
}
