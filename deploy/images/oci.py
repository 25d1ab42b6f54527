"""Makes an OCI image of a folder that holds a root file system, with nothing but Python.

The image has one uncompressed layer. Its bytes depend only on the names, modes, owners and contents of the files and on the
settings, so the same program gives the same digest on every machine.
"""
import hashlib
import io
import json
import os
import platform
import stat
import tarfile
import tempfile

MEDIA = 'application/vnd.oci.image.'


def reference(name):
    """The name in full, as containerd keeps it: a short name in a manifest stands for the same one."""
    ref = name if ':' in name.rsplit('/', 1)[-1] else name + ':latest'
    first = ref.split('/')[0]
    if '/' not in ref:
        return 'docker.io/library/' + ref
    if not ('.' in first or ':' in first or first == 'localhost'):
        return 'docker.io/' + ref
    return ref


class Hashing:
    """A file that is written, counted and hashed."""

    def __init__(self, path):
        self.file, self.hash, self.size = open(path, 'wb'), hashlib.sha256(), 0

    def write(self, data):
        self.hash.update(data)
        self.size += len(data)
        return self.file.write(data)

    def tell(self):
        return self.size


def layer(rootfs, path, owner):
    """Writes the folder as a tar to `path`. Returns the digest and the size."""
    out = Hashing(path)
    with tarfile.open(fileobj=out, mode='w|', format=tarfile.PAX_FORMAT, bufsize=1 << 20) as tar:
        for folder, dirs, files in os.walk(rootfs):
            dirs.sort()
            for name in sorted(dirs + files):
                full = os.path.join(folder, name)
                if stat.S_ISSOCK(os.lstat(full).st_mode):
                    continue
                info = tar.gettarinfo(full, arcname=os.path.relpath(full, rootfs))
                info.mtime, info.uname, info.gname = 0, '', ''
                if owner:
                    info.uid, info.gid = owner
                if info.isreg():
                    with open(full, 'rb') as f:
                        tar.addfile(info, f)
                else:
                    tar.addfile(info)
    out.file.close()
    return out.hash.hexdigest(), out.size


def sha(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


def build(name, rootfs, archive, settings, owner=None, layout=None):
    """Writes the image `name` of the folder `rootfs` as a tar that `ctr images import`, `docker load`, `kind load
    image-archive` and `k3d image import` read, and as an OCI layout into the folder `layout` if one is given. `settings` is the
    `config` of the image. Returns the full name and the digest of its manifest."""
    ref = reference(name)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(archive)) as work:
        blob = os.path.join(work, 'layer')
        digest, size = layer(rootfs, blob, owner)
        config = json.dumps({
            'architecture': {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()), 'os': 'linux',
            'created': '1970-01-01T00:00:00Z', 'config': {k: v for k, v in settings.items() if v},
            'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + digest]}}).encode()
        manifest = json.dumps({
            'schemaVersion': 2, 'mediaType': MEDIA + 'manifest.v1+json',
            'config': {'mediaType': MEDIA + 'config.v1+json', 'digest': sha(config), 'size': len(config)},
            'layers': [{'mediaType': MEDIA + 'layer.v1.tar', 'digest': 'sha256:' + digest, 'size': size}]}).encode()
        index = json.dumps({
            'schemaVersion': 2, 'mediaType': MEDIA + 'index.v1+json',
            'manifests': [{'mediaType': MEDIA + 'manifest.v1+json', 'digest': sha(manifest), 'size': len(manifest),
                           'annotations': {'io.containerd.image.name': ref,
                                           'org.opencontainers.image.ref.name': ref.rsplit(':', 1)[1]}}]}).encode()
        # What `docker load` reads.
        docker = json.dumps([{'Config': 'blobs/sha256/' + sha(config)[7:], 'RepoTags': [ref],
                              'Layers': ['blobs/sha256/' + digest]}]).encode()
        small = [('oci-layout', b'{"imageLayoutVersion":"1.0.0"}'), ('index.json', index), ('manifest.json', docker),
                 ('blobs/sha256/' + sha(config)[7:], config), ('blobs/sha256/' + sha(manifest)[7:], manifest)]
        complete = os.path.join(work, 'image.tar')
        with tarfile.open(complete, 'w') as tar:
            for path, data in small:
                info = tarfile.TarInfo(path)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            info = tarfile.TarInfo('blobs/sha256/' + digest)
            info.size = size
            with open(blob, 'rb') as f:
                tar.addfile(info, f)
        if layout:
            os.makedirs(os.path.join(layout, 'blobs/sha256'), exist_ok=True)
            for path, data in small:
                with open(os.path.join(layout, path), 'wb') as f:
                    f.write(data)
            os.replace(blob, os.path.join(layout, 'blobs/sha256', digest))
        os.replace(complete, archive)
    return ref, sha(manifest)
