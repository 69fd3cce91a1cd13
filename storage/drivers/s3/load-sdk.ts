/** Loads a package of Amazon's, which are only installed where they are wanted. Throws an Error that names it. */
export async function loadSdk<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    throw new Error(
      'storage on S3 needs the packages @aws-sdk/client-s3 and @aws-sdk/s3-request-presigner, which are not installed: run `npm install @aws-sdk/client-s3 @aws-sdk/s3-request-presigner`',
      { cause: error },
    );
  }
}
