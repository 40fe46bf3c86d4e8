// World orientations and positions after three.js' SkeletonUtils.retarget, without a browser.
//   node retarget.mjs FILE.json
// {"source": rig, "target": rig, "offsets": {name: [x, y, z, w]}, "hip": name, "scale": s,
//  "frames": [{"root": [3], "rotations": [joint][4]}]}, rig = {"names", "parents", "offsets"}.
// Prints {"orientations": [frame][joint][4], "positions": [frame][joint][3]} of the target.
import { readFileSync } from 'node:fs'

globalThis.self = globalThis
const THREE = await import('three')
const { retarget } = await import('three/examples/jsm/utils/SkeletonUtils.js')
const { source, target, offsets, hip, scale, frames } = JSON.parse(readFileSync(process.argv[2], 'utf8'))

function mesh(rig) {
  const bones = rig.names.map((name) => Object.assign(new THREE.Bone(), { name }))
  bones.forEach((bone, k) => {
    bone.position.set(...rig.offsets[k])
    if (k) bones[rig.parents[k]].add(bone)
  })
  const skinned = new THREE.SkinnedMesh(new THREE.BufferGeometry(), new THREE.MeshBasicMaterial())
  skinned.add(bones[0])
  skinned.bind(new THREE.Skeleton(bones))
  return skinned
}

const from = mesh(source)
const to = mesh(target)
const localOffsets = Object.fromEntries(
  Object.entries(offsets).map(([name, q]) => [
    name, new THREE.Matrix4().makeRotationFromQuaternion(new THREE.Quaternion(...q))
  ])
)
const names = Object.fromEntries(
  target.names.filter((name) => source.names.includes(name)).map((name) => [name, name])
)
const said = { orientations: [], positions: [] }
for (const { root, rotations } of frames) {
  from.skeleton.bones.forEach((bone, k) => bone.quaternion.set(...rotations[k]))
  from.skeleton.bones[0].position.set(...root)
  from.updateMatrixWorld(true)
  retarget(to, from, { names, hip, scale, localOffsets })
  to.updateMatrixWorld(true)
  const bones = to.skeleton.bones
  said.orientations.push(bones.map((b) => b.getWorldQuaternion(new THREE.Quaternion()).toArray()))
  said.positions.push(bones.map((b) => b.getWorldPosition(new THREE.Vector3()).toArray()))
}
console.log(JSON.stringify(said))
