export { createTestMesh, type TestMesh, type TestMeshOptions, type TestNode } from './mesh.ts'
