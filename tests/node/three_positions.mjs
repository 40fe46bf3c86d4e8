// World positions of all joints as three.js shows them, without a browser.
//   node three_positions.mjs bvh|glb FILE SECONDS,SECONDS,...
// Prints {"names": [...], "positions": [time][joint][3]} with joints in the loader's order.
import { readFileSync } from 'node:fs'

globalThis.self = globalThis
const THREE = await import('three')
const [kind, path, times] = process.argv.slice(2)

async function load() {
  if (kind === 'bvh') {
    const { BVHLoader } = await import('three/examples/jsm/loaders/BVHLoader.js')
    const { skeleton, clip } = new BVHLoader().parse(readFileSync(path, 'utf8'))
    return { root: skeleton.bones[0], bones: skeleton.bones, clip }
  }
  const { GLTFLoader } = await import('three/examples/jsm/loaders/GLTFLoader.js')
  const bytes = readFileSync(path)
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
  const gltf = await new GLTFLoader().parseAsync(buffer, '')
  let bones
  gltf.scene.traverse((object) => { if (object.isSkinnedMesh) bones = object.skeleton.bones })
  return { root: gltf.scene, bones, clip: gltf.animations[0] }
}

const { root, bones, clip } = await load()
const mixer = new THREE.AnimationMixer(root)
const action = mixer.clipAction(clip)
action.setLoop(THREE.LoopOnce)
action.clampWhenFinished = true
action.play()
const positions = []
for (const time of times.split(',').map(Number)) {
  action.reset()
  action.time = time
  mixer.update(0)
  root.updateMatrixWorld(true)
  positions.push(bones.map((bone) => bone.getWorldPosition(new THREE.Vector3()).toArray()))
}
console.log(JSON.stringify({ names: bones.map((bone) => bone.name), duration: clip.duration, positions }))
