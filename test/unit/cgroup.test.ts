import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Cgroup, cgroupMemorySlackBytes } from '../../src/sandbox/containers/cgroup.ts'

const limits = { memoryMiB: 64, processes: 8, cpuPercent: 50 }
const limitBytes = (used: number): number => used + (64 << 20) + cgroupMemorySlackBytes

/** A folder that stands in for a mount of control groups, with what the system would have written there. */
function startMount(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kindmesh-cgroup-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

test('version 2: limits, freezer, sample and end of a group whose processes are in a group below it', () => {
  const mount = startMount()
  const group = new Cgroup({ version: 2, hierarchies: [{ mount, controllers: [] }], parent: '/' }, 'one')
  group.make()
  const file = (name: string): string => join(mount, 'one', name)
  expect(group.joined).toEqual([file('run')])
  writeFileSync(file('memory.current'), '1000')
  writeFileSync(file('pids.current'), '3')
  group.limit(limits)
  const written = Object.fromEntries(
    ['memory.max', 'memory.swap.max', 'memory.oom.group', 'pids.max', 'cpu.max'].map((name) => [name, readFileSync(file(name), 'utf8')]),
  )
  expect(written).toEqual({
    'memory.max': String(limitBytes(1_000)),
    'memory.swap.max': '0',
    'memory.oom.group': '1',
    'pids.max': '11',
    'cpu.max': '50000 100000',
  })

  writeFileSync(file('cpu.stat'), 'usage_usec 12500\nuser_usec 1\n')
  writeFileSync(file('memory.stat'), 'anon 700\nfile 9000\nshmem 50\n')
  expect(group.sample()).toEqual({ cpuMs: 13, memoryBytes: 750 })
  // The kernel killed something: memory reads as the limit itself.
  writeFileSync(file('memory.events'), 'oom 1\noom_kill 1\n')
  expect(group.sample()?.memoryBytes).toBe(limitBytes(1_000))

  group.freeze()
  expect(readFileSync(file('cgroup.freeze'), 'utf8')).toBe('1')
  group.thaw()
  expect(readFileSync(file('cgroup.freeze'), 'utf8')).toBe('0')
})

test('version 1: a group in each hierarchy that matters, folders to clear in all', () => {
  const [memory, cpu, other] = [startMount(), startMount(), startMount()]
  const hierarchies = [
    { mount: memory, controllers: ['rw', 'memory'] },
    { mount: cpu, controllers: ['cpu', 'cpuacct', 'pids', 'freezer'] },
    { mount: other, controllers: ['blkio'] },
  ]
  const group = new Cgroup({ version: 1, hierarchies, parent: '/' }, 'one')
  group.make()
  expect(group.joined).toEqual([join(memory, 'one'), join(cpu, 'one')])
  expect(group.all).toEqual([memory, cpu, other].map((mount) => join(mount, 'one')))
  writeFileSync(join(memory, 'one/memory.usage_in_bytes'), '1000')
  group.limit(limits)
  expect(readFileSync(join(memory, 'one/memory.limit_in_bytes'), 'utf8')).toBe(String(limitBytes(1_000)))
  expect(readFileSync(join(cpu, 'one/cpu.cfs_quota_us'), 'utf8')).toBe('50000')
  group.freeze()
  expect(readFileSync(join(cpu, 'one/freezer.state'), 'utf8')).toBe('FROZEN')
})

test('an empty group is removed with those below it; one that is gone has no sample', () => {
  const mount = startMount()
  const group = new Cgroup({ version: 2, hierarchies: [{ mount, controllers: [] }], parent: '/' }, 'one')
  group.make()
  group.remove()
  expect(existsSync(join(mount, 'one'))).toBe(false)
  expect(group.sample()).toBeUndefined()
})
