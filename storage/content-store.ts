/** All content behind one driver: repositories, blobs, V1 images. */
export interface ContentStore {
  close(): Promise<void>;
}
