"""Measures what ended jobs cost an API server once they are archived: its memory and the size of etcd, at so many ended jobs.

scripts/bench-k8s.sh starts a control plane without nodes and runs this; `KUBECONFIG` names it. crates/k8s-engine/examples/ended_jobs.rs
makes the jobs. Needs nothing but Python.
"""
import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

PROGRAM, KUBECTL = sys.argv[1:3]
MARKS = [int(number) for number in sys.argv[3:]]
NAMESPACES = ['cloister-system', 'cloister-jobs', 'cloister-assets']
ENVIRONMENT = {
    'apiVersion': 'cloister.dev/v1alpha1', 'kind': 'Environment', 'metadata': {'name': 'local', 'namespace': 'cloister-jobs'},
    'spec': {'limits': {'jobs': 1, 'queued': 100000, 'cpus': 100, 'memoryBytes': 1 << 40, 'jobMemoryBytes': 1 << 30, 'wallMs': 600000}}}
# What the names of ConfigMaps of the service begin with.
PARTS = {'audit-sealed-': 'sealed records', 'audit-': 'records that wait', 'archive-': 'batches of jobs', 'receipts-': 'sealed receipts',
         'catalog-': 'catalogs of receipts', 'claim-': 'claims'}
# After the last write, so that nothing that the API server does with it is measured.
QUIET_SECONDS = int(os.environ.get('CLOISTERDEV_BENCH_QUIET_SECONDS', '90'))


def kubectl(*arguments, given=None, binary=False):
    done = subprocess.run([KUBECTL, *arguments], input=given, capture_output=True)
    if done.returncode:
        sys.exit(f'kubectl {" ".join(arguments)}: {done.stderr.decode()}')
    return done.stdout if binary else done.stdout.decode()


def port():
    config = json.loads(kubectl('config', 'view', '-o', 'json'))
    return int(config['clusters'][0]['cluster']['server'].rsplit(':', 1)[1])


def etcd(path, **body):
    # tests/cluster gives etcd the port of the API server and 6000.
    request = urllib.request.Request(f'http://127.0.0.1:{PORT + 6000}/v3/{path}', json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.loads(answer.read())


def arguments(process):
    """No words once it has ended."""
    try:
        return pathlib.Path(f'/proc/{process}/cmdline').read_bytes().split(b'\0')
    except (FileNotFoundError, ProcessLookupError):
        return [b'']


def api_server():
    for folder in pathlib.Path('/proc').glob('[0-9]*'):
        given = arguments(folder.name)
        if given[0].endswith(b'/kube-apiserver') and f'--secure-port={PORT}'.encode() in given:
            return int(folder.name)
    sys.exit('kube-apiserver does not run')


def resident():
    lines = pathlib.Path(f'/proc/{api_server()}/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('VmRSS:')) / 1024


def metrics_after_collection():
    for _ in range(2):
        kubectl('get', '--raw', '/debug/pprof/heap?gc=1', binary=True)
    return kubectl('get', '--raw', '/metrics')


def heap(metrics):
    return float(re.search(r'^go_memstats_heap_alloc_bytes (\S+)', metrics, re.M)[1]) / 2 ** 20


def history(metrics):
    """How many changes of each kind the API server keeps room for, of the kinds of which it keeps many: it keeps those of the last
    75 seconds at least, so that this follows the rate of changes."""
    found = re.findall(r'^(?:apiserver_)?watch_cache_capacity\{([^}]*)\} (\S+)', metrics, re.M)
    many = [(re.search(r'resource="([^"]*)"', labels)[1], int(float(number))) for labels, number in found if float(number) > 1000]
    return ', '.join(f'{kind} {number}' for kind, number in sorted(many)) or 'at most 1000 of each kind'


def parts():
    """Objects and bytes in etcd of each part of the service's ConfigMaps, without what etcd adds."""
    start = f'/registry/configmaps/{NAMESPACES[0]}/'
    answer = etcd('kv/range', key=base64.b64encode(start.encode()).decode(),
                  range_end=base64.b64encode(start[:-1].encode() + b'0').decode())
    found = {}
    for item in answer.get('kvs', []):
        key = base64.b64decode(item['key']).decode()
        name = key[len(start):]
        part = next((part for beginning, part in PARTS.items() if name.startswith(beginning)), 'others')
        count, size = found.get(part, (0, 0))
        found[part] = count + 1, size + len(key) + len(base64.b64decode(item['value']))
    return ', '.join(f'{part} {count} with {size} bytes' for part, (count, size) in sorted(found.items()))


def start_api_server_again():
    """Another one has the same objects and no history."""
    process = api_server()
    os.kill(process, signal.SIGTERM)
    while arguments(process) != [b'']:
        time.sleep(0.1)
    subprocess.run(['tests/cluster/up', '--control-plane'], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure(jobs):
    time.sleep(QUIET_SECONDS)
    revision = etcd('kv/range', key=base64.b64encode(b'/none').decode())['header']['revision']
    # The API server does the first every five minutes, and an operator the second from time to time.
    etcd('kv/compaction', revision=revision, physical=True)
    etcd('maintenance/defragment')
    size = int(etcd('maintenance/status')['dbSize']) / 2 ** 20
    metrics = metrics_after_collection()
    found = {'etcd': size, 'heap': heap(metrics), 'resident': resident()}
    print(f'{jobs:6} ended jobs: etcd {size:.1f} MiB; API server {found["heap"]:.1f} MiB in use, {found["resident"]:.0f} MiB '
          f'resident; it has room for changes: {history(metrics)}', flush=True)
    print(f'       ConfigMaps: {parts()}', flush=True)
    start_api_server_again()
    time.sleep(QUIET_SECONDS)
    found['fresh'] = heap(metrics_after_collection())
    objects = {kind: len(kubectl('get', kind, '--namespace', 'cloister-jobs' if kind == 'computejobs' else 'cloister-system',
                                 '--no-headers', '--ignore-not-found').splitlines())
               for kind in ['computejobs', 'configmaps', 'secrets']}
    print(f'       API server started again: {found["fresh"]:.1f} MiB in use; '
          + ', '.join(f'{count} {kind}' for kind, count in objects.items()), flush=True)
    return found


def main():
    for namespace in NAMESPACES:
        kubectl('create', 'namespace', namespace)
    kubectl('apply', '--server-side', '-f', 'deploy/crds')
    kubectl('wait', '--for=condition=Established', '--timeout=60s', 'crd', '--all')
    kubectl('apply', '--server-side', '-f', '-', given=json.dumps(ENVIRONMENT).encode())
    measure(0)
    found = {}
    with tempfile.TemporaryDirectory(prefix='cloister-bench-') as folder:
        program = subprocess.Popen([PROGRAM, folder, *map(str, MARKS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        began = time.monotonic()
        for mark in MARKS:
            line = program.stdout.readline()
            if line.strip() != str(mark):
                sys.exit(f'the jobs were not made: {program.wait()}')
            print(f'{mark} jobs made and archived after {time.monotonic() - began:.0f} s', flush=True)
            found[mark] = measure(mark)
            program.stdin.write('\n')
            program.stdin.flush()
        program.stdin.close()
        if program.wait():
            sys.exit('the program that makes the jobs failed')
    first, last = found[MARKS[0]], found[MARKS[-1]]
    more = max(MARKS[-1] - MARKS[0], 1)
    for what, of in [('etcd', 'etcd'), ('memory in use of an API server that was started again', 'fresh'),
                     ('memory in use of the API server', 'heap'), ('resident memory of the API server', 'resident')]:
        print(f'{what}: {last[of] / first[of]:.2f} of what it was at {MARKS[0]} ended jobs; '
              f'{(last[of] - first[of]) * 2 ** 20 / more:.0f} bytes for each more')


PORT = port()
main()
