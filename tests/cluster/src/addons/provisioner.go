package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const provisionerName = "cloister.test/node-folder"

// enforceSize is the parameter of a StorageClass whose volumes hold no more than was asked for.
const enforceSize = "enforceSize"

// folders makes volumes that are folders of one node: <base>/<node>/volumes/<name of the PV>. Where the class says
// enforceSize, a file system of the requested size, kept in <name of the PV>.img, is mounted on that folder; the folder
// `base` is a shared mount, so that the node sees it.
type folders struct{ base string }

func (f folders) Provision(_ context.Context, o controller.ProvisionOptions) (*core.PersistentVolume, controller.ProvisioningState, error) {
	no := func(why string) (*core.PersistentVolume, controller.ProvisioningState, error) {
		return nil, controller.ProvisioningFinished, errors.New(why)
	}
	if o.SelectedNodeName == "" {
		return no("no node chosen yet: the storage class must have volumeBindingMode WaitForFirstConsumer")
	}
	if o.PVC.Spec.Selector != nil {
		return no("claims with a selector are not supported")
	}
	for _, mode := range o.PVC.Spec.AccessModes {
		if mode != core.ReadWriteOnce && mode != core.ReadWriteOncePod {
			return no(fmt.Sprintf("access mode %s is not supported: a volume is on one node (ReadWriteOnce, ReadWriteOncePod)", mode))
		}
	}
	node := o.SelectedNodeName
	path := filepath.Join(f.base, node, "volumes", o.PVName)
	size := o.PVC.Spec.Resources.Requests[core.ResourceStorage]
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := os.Chmod(path, 0o777); err != nil { // whatever the umask is: pods may run as any user
		return nil, controller.ProvisioningFinished, err
	}
	if o.StorageClass.Parameters[enforceSize] == "true" {
		if err := fileSystem(path, size.Value()); err != nil {
			return nil, controller.ProvisioningFinished, err
		}
	}
	klog.Infof("made %s for %s/%s", path, o.PVC.Namespace, o.PVC.Name)
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: o.PVName},
		Spec: core.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			VolumeMode:                    o.PVC.Spec.VolumeMode,
			MountOptions:                  o.StorageClass.MountOptions,
			Capacity:                      core.ResourceList{core.ResourceStorage: size},
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
				MatchExpressions: []core.NodeSelectorRequirement{{
					Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{node},
				}},
			}}}},
		},
	}, controller.ProvisioningFinished, nil
}

func (f folders) Delete(_ context.Context, pv *core.PersistentVolume) error {
	if pv.Spec.Local == nil {
		return fmt.Errorf("%s is not one of ours", pv.Name)
	}
	path := filepath.Clean(pv.Spec.Local.Path)
	if !strings.HasPrefix(path, f.base+"/") || filepath.Base(path) != pv.Name {
		return fmt.Errorf("%s is outside %s", path, f.base)
	}
	klog.Infof("removing %s", path)
	if mounted(path) {
		if err := run("umount", path); err != nil {
			return err // tried again later
		}
	}
	if err := os.RemoveAll(path + ".img"); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// fileSystem makes an ext4 of that size and mounts it on the folder. Like a fresh disk it belongs to root and holds
// lost+found: pods of other users need an fsGroup.
func fileSystem(folder string, bytes int64) error {
	if mounted(folder) { // an earlier attempt got so far
		return nil
	}
	image := folder + ".img"
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(image, bytes); err != nil {
		return err
	}
	if err := run("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", image); err != nil {
		return err
	}
	return run("mount", "-o", "loop", image, folder)
}

// mounted says whether a file system is mounted on the folder: then it is on another device than its parent.
func mounted(folder string) bool {
	var here, above syscall.Stat_t
	return syscall.Stat(folder, &here) == nil && syscall.Stat(filepath.Dir(folder), &above) == nil && here.Dev != above.Dev
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func runProvisioner(args []string) error {
	flags := flag.NewFlagSet("provisioner", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig file")
	base := flags.String("base", "", "folder that holds one folder per node")
	_ = flags.Parse(args)
	api, err := client(*kubeconfig)
	if err != nil {
		return err
	}
	ctx := context.Background()
	controller.NewProvisionController(ctx, api, provisionerName, folders{filepath.Clean(*base)},
		controller.LeaderElection(false), controller.MetricsPort(0)).Run(ctx)
	return nil
}
