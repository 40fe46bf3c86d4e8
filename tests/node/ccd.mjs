// Joint positions after sweeps of three.js' CCDIKSolver, without a browser.
//   node ccd.mjs FILE.json    {"points": [chain][joint][3], "targets": [chain][3], "sweeps": n}
// Prints {"points": [chain][joint][3]}.
import { readFileSync } from 'node:fs'

globalThis.self = globalThis
const THREE = await import('three')
const { CCDIKSolver } = await import('three/examples/jsm/animation/CCDIKSolver.js')
const { points, targets, sweeps } = JSON.parse(readFileSync(process.argv[2], 'utf8'))

function solved(chain, goal) {
  const bones = chain.map(() => new THREE.Bone())
  chain.forEach((place, k) => {
    const before = k ? chain[k - 1] : [0, 0, 0]
    bones[k].position.set(...place.map((value, axis) => value - before[axis]))
    if (k) bones[k - 1].add(bones[k])
  })
  const target = new THREE.Bone()
  target.position.set(...goal)
  const mesh = new THREE.SkinnedMesh(new THREE.BufferGeometry(), new THREE.MeshBasicMaterial())
  mesh.add(bones[0], target)
  mesh.bind(new THREE.Skeleton([...bones, target]))
  mesh.updateMatrixWorld(true)
  const tip = chain.length - 1
  const links = [...Array(tip).keys()].reverse().map((index) => ({ index }))
  const ik = { target: chain.length, effector: tip, links, iteration: sweeps }
  new CCDIKSolver(mesh, [ik]).update()
  mesh.updateMatrixWorld(true)
  return bones.map((bone) => new THREE.Vector3().setFromMatrixPosition(bone.matrixWorld).toArray())
}

console.log(JSON.stringify({ points: points.map((chain, k) => solved(chain, targets[k])) }))
