"""Measures an installation on the test cluster: how long a job that does nothing takes beside three bare Jobs, how often the
programs write to the API server, and what they hold in memory while nothing happens.

scripts/bench-k8s.sh starts the cluster, loads the images, and runs this. Needs nothing but Python.
"""
import base64
import collections
import http.client
import json
import os
import pathlib
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = int(os.environ.get('CLOISTERDEV_BENCH_ROUNDS', '7'))
IDLE_SECONDS = int(os.environ.get('CLOISTERDEV_BENCH_IDLE_SECONDS', '120'))
CLUSTER = pathlib.Path(os.environ['CLOISTERDEV_CLUSTER_DIR'])
HELM, CLOISTER = sys.argv[1:3]
SYSTEM, JOBS, PEOPLE = 'cloister-system', 'cloister-jobs', 'bench-alice'
# Where the pods of a job are created one after the other, and where they are created together.
ENVIRONMENTS = ['ordered', 'early']
# What each round has beside them: three Jobs, three Pods, and the Jobs without a volume.
BARE = {'three Jobs': ('Job', True), 'three Pods': ('Pod', True), 'three Jobs without a volume': ('Job', False)}
# The least module that there is: it begins and ends.
NOTHING = bytes.fromhex('0061736d01000000010401600000030201000503010001'
                        '071302066d656d6f72790200065f737461727400000a040102000b')
WRITES = {'create', 'update', 'patch', 'delete', 'deletecollection'}


def run(*command, given=None):
    done = subprocess.run(command, input=given, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f'{" ".join(command)}: {done.stderr}')
    return done.stdout


def kubectl(*arguments, given=None):
    return run(str(CLUSTER / 'bin/kubectl'), *arguments, given=given)


def apply(*objects):
    kubectl('apply', '--server-side', '-f', '-', given='\n---\n'.join(map(json.dumps, objects)))


class ApiServer:
    """One connection to the API server, kept open: starting kubectl would take longer than what is measured."""

    def __init__(self):
        config = json.loads(kubectl('config', 'view', '--raw', '--flatten', '-o', 'json'))
        cluster, user = config['clusters'][0]['cluster'], config['users'][0]['user']
        context = ssl.create_default_context(cadata=base64.b64decode(cluster['certificate-authority-data']).decode())
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(base64.b64decode(user['client-certificate-data']) + base64.b64decode(user['client-key-data']))
            pair.flush()
            context.load_cert_chain(pair.name)
        self.connection = http.client.HTTPSConnection(cluster['server'].removeprefix('https://'), context=context)

    def send(self, method, path, body=None):
        self.connection.request(method, path, json.dumps(body) if body else None, {'Content-Type': 'application/json'})
        answer = self.connection.getresponse()
        content = json.loads(answer.read())
        if answer.status >= 300:
            sys.exit(f'{method} {path}: {content}')
        return content

    def until(self, path, ended_well):
        """Asks every 20 ms until the status of an object says that it ended well."""
        end = time.monotonic() + 300
        while True:
            status = self.send('GET', path).get('status', {})
            failed = conditions(status).get('Failed') == 'True' or status.get('phase') == 'Failed'
            if failed or time.monotonic() > end:
                sys.exit(f'{path} ends otherwise: {status}')
            if ended_well(status):
                return
            time.sleep(0.02)


def conditions(status):
    return {condition['type']: condition['status'] for condition in status.get('conditions', [])}


def metadata(name, namespace, **more):
    return {'name': name, 'namespace': namespace, **more}


def install(folder):
    kubectl('create', 'namespace', SYSTEM)
    run(CLOISTER, 'secrets', '--into', f'{folder}/secrets')
    kubectl('--namespace', SYSTEM, 'create', 'secret', 'generic', 'cloister', f'--from-file={folder}/secrets')
    store = folder / 'store'
    store.mkdir()
    store.chmod(0o777)
    values = {'images': {'unpinned': True, 'cloister': {'repository': 'cloister', 'tag': 'test'},
                         'sandbox': {'repository': 'sandbox', 'tag': 'test'}}, 'results': {'claim': 'results'}}
    (folder / 'values.yaml').write_text(json.dumps(values))
    run(HELM, 'install', 'cloister', 'deploy/helm/cloister', '--namespace', SYSTEM, '--values', f'{folder}/values.yaml')
    for namespace in [SYSTEM, JOBS]:
        volume = f'bench-{namespace}'
        common = {'accessModes': ['ReadWriteMany'], 'storageClassName': ''}
        apply({'apiVersion': 'v1', 'kind': 'PersistentVolume', 'metadata': {'name': volume}, 'spec': {
            **common, 'capacity': {'storage': '1Gi'}, 'claimRef': {'namespace': namespace, 'name': 'results'},
            'hostPath': {'path': str(store), 'type': 'Directory'}, 'persistentVolumeReclaimPolicy': 'Retain'}},
            {'apiVersion': 'v1', 'kind': 'PersistentVolumeClaim', 'metadata': metadata('results', namespace), 'spec': {
                **common, 'resources': {'requests': {'storage': '1Gi'}}, 'volumeName': volume}})
    step = {'cpuMillis': 50, 'memoryBytes': 128 << 20}
    for name in ENVIRONMENTS:
        apply({'apiVersion': 'cloister.dev/v1alpha1', 'kind': 'Environment', 'metadata': metadata(name, JOBS), 'spec': {
            'limits': {'jobs': 3, 'queued': 100, 'cpus': 16, 'memoryBytes': 16 << 30, 'jobMemoryBytes': 1 << 30,
                       'wallMs': 600000},
            'storage': {'bytes': 64 << 20, 'mode': 'perJob'},
            'steps': {'configuration': step, 'publishing': step, 'startEarly': name == 'early'}}})
    for program in ['api', 'engine']:
        kubectl('--namespace', SYSTEM, 'rollout', 'status', f'deployment/cloister-{program}', '--timeout=180s')


def publish():
    kubectl('create', 'namespace', PEOPLE)
    kubectl('label', 'namespace', PEOPLE, 'cloister.dev/account=alice')
    kubectl('--namespace', PEOPLE, 'create', 'rolebinding', 'cloister', '--clusterrole=cloister:account',
            f'--serviceaccount={SYSTEM}:cloister-api')

    def asset(kind, name, content, more):
        files = [{'type': 'inline', 'base64': base64.b64encode(content).decode()}]
        return {'apiVersion': 'cloister.dev/v1alpha1', 'kind': kind, 'metadata': metadata(name, PEOPLE),
                'spec': {'title': name, 'files': files, **more}}

    apply(asset('Dataset', 'table', b'age,weight\n41,70\n', {'compute': {'publisherTrustedAlgorithmPublishers': ['alice']}}),
          asset('Algorithm', 'nothing', NOTHING, {'algorithm': {'container': {'image': 'wasm', 'entrypoint': '$ALGO'}}}))
    kubectl('--namespace', PEOPLE, 'wait', '--for=condition=Ready', '--timeout=120s', 'dataset/table', 'algorithm/nothing')
    wanted = 'jsonpath={.status.did}'
    return [kubectl('--namespace', PEOPLE, 'get', what, '-o', wanted) for what in ['dataset/table', 'algorithm/nothing']]


def our_job(server, number, dids, environment):
    """From the request to the condition Complete, with the decision of the service and results in the store, in seconds."""
    group = f'/apis/cloister.dev/v1alpha1/namespaces/{PEOPLE}/jobrequests'
    name = f'{environment}-{number}'
    request = {'apiVersion': 'cloister.dev/v1alpha1', 'kind': 'JobRequest', 'metadata': {'name': name},
               'spec': {'datasets': [{'did': dids[0]}], 'algorithm': {'did': dids[1]}, 'environment': environment}}
    began = time.monotonic()
    server.send('POST', group, request)
    server.until(f'{group}/{name}', lambda status: conditions(status).get('Complete') == 'True')
    return time.monotonic() - began


def bare(server, number, kind, with_volume):
    """Three Jobs or three Pods, one after the other, with the same images; each prints a version. With a volume of the same class, or
    without, which is the most that volumes kept ready could save."""
    name = f'{kind.lower()}-{"volume" if with_volume else "none"}-{number}'
    began = time.monotonic()
    if with_volume:
        server.send('POST', f'/api/v1/namespaces/{PEOPLE}/persistentvolumeclaims', {
            'apiVersion': 'v1', 'kind': 'PersistentVolumeClaim', 'metadata': {'name': name},
            'spec': {'accessModes': ['ReadWriteOnce'], 'resources': {'requests': {'storage': str(64 << 20)}}}})
    for step, image in enumerate(['cloister', 'sandbox', 'cloister']):
        container = {'name': 'step', 'image': f'{image}:test', 'imagePullPolicy': 'IfNotPresent', 'args': ['--version'],
                     'resources': {'requests': {'cpu': '50m', 'memory': '128Mi'}, 'limits': {'memory': '1Gi'}}}
        pod = {'restartPolicy': 'Never', 'automountServiceAccountToken': False, 'containers': [container]}
        if with_volume:
            container['volumeMounts'] = [{'name': 'data', 'mountPath': '/data'}]
            pod['volumes'] = [{'name': 'data', 'persistentVolumeClaim': {'claimName': name}}]
        of_step = {'name': f'{name}-{step}'}
        if kind == 'Job':
            group = f'/apis/batch/v1/namespaces/{PEOPLE}/jobs'
            server.send('POST', group, {'apiVersion': 'batch/v1', 'kind': 'Job', 'metadata': of_step,
                                        'spec': {'backoffLimit': 0, 'template': {'spec': pod}}})
            server.until(f'{group}/{name}-{step}', lambda status: conditions(status).get('Complete') == 'True')
        else:
            group = f'/api/v1/namespaces/{PEOPLE}/pods'
            server.send('POST', group, {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': of_step, 'spec': pod})
            server.until(f'{group}/{name}-{step}', lambda status: status.get('phase') == 'Succeeded')
    return time.monotonic() - began


def written(since):
    """What our accounts wrote since a place in the audit log, by account and object; and the place where the log ends."""
    counts = collections.Counter()
    with open(CLUSTER / 'logs/audit.log') as log:
        log.seek(since)
        for line in iter(log.readline, ''):
            event = json.loads(line)
            account = event['user']['username'].rpartition(':')[2]
            ours = event['user']['username'].startswith(f'system:serviceaccount:{SYSTEM}:')
            if ours and event['verb'] in WRITES and event['stage'] == 'ResponseComplete':
                of = event['objectRef']
                kind = of['resource'] + ('/' + of['subresource'] if 'subresource' in of else '')
                counts[account, f'{event["verb"]} {kind}'] += 1
        return counts, log.tell()


def print_writes(environment, writes):
    # The lease is renewed by the clock, whatever jobs there are.
    writes = {key: count for key, count in writes.items() if key[1] != 'update leases'}
    print(f'\nwrites for each job, {environment}, without the lease: {sum(writes.values()) / ROUNDS:.1f}')
    for (account, what), count in sorted(writes.items()):
        print(f'  {account:16} {what:36} {count / ROUNDS:.1f}')


def memory(program):
    """Proportional set sizes in MiB of the processes `cloister PROGRAM`, the largest first."""
    sizes = []
    for folder in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            if (folder / 'cmdline').read_bytes().startswith(b'/cloister\0' + program + b'\0'):
                lines = (folder / 'smaps_rollup').read_text().splitlines()
                sizes.append(next(int(line.split()[1]) for line in lines if line.startswith('Pss:')) / 1024)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return sorted(sizes, reverse=True)


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix='cloister-bench-'))
    folder.chmod(0o755)
    install(folder)
    dids = publish()
    server = ApiServer()
    for environment in ENVIRONMENTS:
        our_job(server, 'warm', dids, environment)
    for kind, with_volume in BARE.values():
        bare(server, 'warm', kind, with_volume)
    ours, before = {environment: [] for environment in ENVIRONMENTS}, 0
    theirs = {what: [] for what in BARE}
    writes = {environment: collections.Counter() for environment in ENVIRONMENTS}
    for number in range(ROUNDS):
        # In turns, so that a disturbance meets all of them.
        for environment in ENVIRONMENTS:
            _, before = written(before)
            ours[environment].append(our_job(server, number, dids, environment))
            # What is done after the condition is a job's as well: results read, records moved to the audit log.
            time.sleep(10)
            counts, before = written(before)
            writes[environment] += counts
        for what, (kind, with_volume) in BARE.items():
            theirs[what].append(bare(server, number, kind, with_volume))
        times = ', '.join(f'{what} {times[-1]:.2f} s' for what, times in (ours | theirs).items())
        print(f'round {number + 1}: {times}', flush=True)
    time.sleep(30)
    _, before = written(before)
    time.sleep(IDLE_SECONDS)
    idle, _ = written(before)

    jobs = theirs['three Jobs']
    print(f'\nthree bare Jobs: {min(jobs):.2f} s at least, {statistics.median(jobs):.2f} s in the middle of {ROUNDS}')
    for what, times in (ours | theirs).items():
        least, median = min(times) / min(jobs), statistics.median(times) / statistics.median(jobs)
        print(f'{what}: {min(times):.2f} s at least, {statistics.median(times):.2f} s in the middle; '
              f'ratio {least:.2f} of the least, {median:.2f} of the middle')
    for environment, counts in writes.items():
        print_writes(environment, counts)
    print(f'\nidle, in {IDLE_SECONDS} s: {sum(idle.values())} writes')
    for (account, what), count in sorted(idle.items()):
        print(f'  {account:16} {what:36} {count}')
    for program in [b'engine', b'serve']:
        sizes = ', '.join(f'{size:.1f}' for size in memory(program))
        print(f'memory of cloister {program.decode()}: {sizes} MiB')


main()
